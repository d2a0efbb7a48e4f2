# The app that enqueues, as client.py is for Python.
require "json"
require_relative "jobs"

CHUNK = 1_000

def cpu
  Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
end

def wall
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def single(job, numbers, more)
  numbers.each { |n| job.perform_async(n, *more) }
end

def bulk(job, numbers, more)
  numbers.each_slice(CHUNK) { |chunk| Sidekiq::Client.push_bulk("class" => job, "args" => chunk.map { |n| [n, *more] }) }
end

def later(job, numbers, times)
  numbers.zip(times) { |n, at| job.perform_at(at, n) }
end

def latency(samples)
  asked, heard = [], []
  samples.times do |n|
    sleep(0.005 + rand * 0.015)
    asked << Time.now.to_f
    Stamp.perform_async(n)
    Stamp.bell.sysread(1)
    heard << Time.now.to_f
  end
  began = Array.new(samples) { |n| STARTED.get_value(:f64, n * 8) }
  {
    start_ms: asked.zip(began).map { |a, b| (b - a) * 1000 },
    end_ms: asked.zip(heard).map { |a, h| (h - a) * 1000 }
  }
end

def obey(command)
  return latency(command["samples"]) if command["do"] == "latency"

  first = command["first"] || 0
  numbers = (first...(first + command["count"]))
  job = JOBS.fetch(command["job"])
  cpu_before, began = cpu, wall
  case command["do"]
  when "single" then single(job, numbers, command["more"] || [])
  when "bulk" then bulk(job, numbers, command["more"] || [])
  when "later" then later(job, numbers, command["times"])
  end
  {s: wall - began, cpu_s: cpu - cpu_before}
end

$stdout.sync = true
puts JSON.generate(ready: true, bulk: true)
$stdin.each_line { |line| puts JSON.generate(obey(JSON.parse(line))) }
