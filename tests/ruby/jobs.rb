# What a Ruby worker runs, for jobs that Python enqueues.
require "sidekiq"
require "sidekiq/api"
require "json"

redis = { url: ENV.fetch("REDIS_URL") }
Sidekiq.configure_server do |config|
  config.redis = redis
  config.options[:poll_interval_average] = 0.5
end
Sidekiq.configure_client { |config| config.redis = redis }

class RubyJob
  include Sidekiq::Worker

  def perform(*args)
    File.open(ENV.fetch("RUBY_LEDGER"), "a") { |f| f.puts JSON.generate([jid, args]) }
  end
end
