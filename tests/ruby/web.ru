# Sidekiq's own Web UI on our data.
require "sidekiq"
require "sidekiq/web"

Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch("REDIS_URL") } }
use Rack::Session::Cookie, secret: "a" * 64, same_site: true
run Sidekiq::Web
