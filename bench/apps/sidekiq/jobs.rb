# Sidekiq: jobs, for `sidekiq -r`, and settings.
Warning[:experimental] = false
require "sidekiq"
Redis.silence_deprecations = true

FOLDER = ENV.fetch("BENCH_MARKS")
DONE = IO::Buffer.map(File.open("#{FOLDER}/done", "r+"))
STARTED = IO::Buffer.map(File.open("#{FOLDER}/started", "r+"))

Sidekiq.configure_server do |config|
  config.redis = {url: ENV.fetch("REDIS_URL")}
  config.logger.level = ENV["BENCH_LOG"] ? Logger::INFO : Logger::WARN
  config.options[:poll_interval_average] = 2 # two processes: one look a second
end
Sidekiq.configure_client { |config| config.redis = {url: ENV.fetch("REDIS_URL"), size: 1} }

class Noop
  include Sidekiq::Worker

  def perform(n)
    DONE.set_value(:U8, n, 1)
  end
end

class Pause
  include Sidekiq::Worker

  def perform(n, seconds)
    sleep seconds
    DONE.set_value(:U8, n, 1)
  end
end

class Stamp
  include Sidekiq::Worker

  def self.bell
    @bell ||= File.open("#{FOLDER}/bell", "r+")
  end

  def perform(n)
    STARTED.set_value(:f64, n * 8, Time.now.to_f)
    Stamp.bell.syswrite(".")
  end
end

JOBS = {"noop" => Noop, "pause" => Pause, "stamp" => Stamp}
