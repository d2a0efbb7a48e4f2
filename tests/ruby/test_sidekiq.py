"""A real Ruby Sidekiq, its client, worker and scheduler, on the same Redis as ours."""

from __future__ import annotations

import json

from tests.system.ledger import read


def ran_in_ruby(ruby) -> list[tuple[str, list]]:
    if not ruby.ledger.exists():
        return []
    return [tuple(json.loads(line)) for line in ruby.ledger.read_text().split("\n") if line]


def test_rubys_client_pushes_a_python_job_by_its_name(system, ruby):
    jid = ruby.run('puts Sidekiq::Client.push("class" => "quick", "args" => [1])')
    system.wait(lambda: system.processed() == 1)
    assert list(read(system.ledger)) == [jid]


def test_rubys_client_pushes_python_jobs_in_bulk(system, ruby):
    code = 'puts Sidekiq::Client.push_bulk("class" => "quick", "args" => (1..250).map { |n| [n] }).join(" ")'
    jids = ruby.run(code).split()
    system.wait(lambda: system.processed() == 250)
    assert sorted(read(system.ledger)) == sorted(jids)


def test_rubys_client_schedules_a_python_job(system, ruby):
    job = '"class" => "quick", "args" => [1], "at" => due'
    jid, due = ruby.run(f"due = Time.now.to_f + 2; puts Sidekiq::Client.push({job}), due").split()
    system.wait(lambda: read(system.ledger))
    assert 0 <= read(system.ledger)[jid][0].start - float(due) < 1.2


def test_rubys_worker_runs_what_python_enqueues(system, ruby):
    ruby.worker("ruby")
    args = [1, -2.5, "é😀\u2028", None, True, {"k": [1, {"deep": "x"}]}, 2**63]
    jid = system.client.enqueue("RubyJob", *args, queue="ruby")
    later = system.client.enqueue_in(1, "RubyJob", queue="ruby")
    system.wait(lambda: len(ran_in_ruby(ruby)) == 2)
    assert dict(ran_in_ruby(ruby)) == {jid: args, later: []}


def test_two_schedulers_on_one_redis_promote_each_job_once(system, ruby):
    ruby.worker("nothing")
    jids = {system.client.enqueue_in(1 + n / 100, "quick", n) for n in range(300)}
    system.wait(lambda: system.processed() >= 300)
    system.wait(system.at_rest)
    runs = read(system.ledger)
    assert set(runs) == jids
    assert all(len(each) == 1 for each in runs.values())


def test_a_job_that_failed_in_python_is_readable_for_rubys_api(system, ruby):
    jid = system.client.enqueue("fail", "é", {"a": [1]})
    system.wait(lambda: system.db.zcard("retry"))
    code = """
        job = Sidekiq::RetrySet.new.first
        puts JSON.generate([job.jid, job.klass, job.args, job["error_class"], job["retry_count"], job.queue,
                            (Time.now - job.created_at).abs < 60, (Time.now.to_f - job["failed_at"]).abs < 60])
    """
    assert json.loads(ruby.run(code)) == [jid, "fail", ["é", {"a": [1]}], "ValueError", 0, "default", True, True]
