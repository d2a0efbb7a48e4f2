"""The poller's settings, and one line for each wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidelamb.errors import ConfigError
from sidelamb_handlers.config import CapsuleConfig, Config, load_config

REDIS = {"SIDELAMB_REDIS_URL": "redis://env:6379/0"}
ENV = {**REDIS, "SIDELAMB_FUNCTION": "app-worker"}
FULL = """
redis = "redis://file:6379/0"
namespace = "{app}"
scheduler = "app-scheduler"
stop_timeout = 40

[capsules.fast]
function = "fast-worker"
queues = ["critical", "default"]
in_flight = 3
jobs = 7
threads = 2
timeout = 30.5
detached = true

[capsules.slow]
function = "slow-worker"
queues = { low = 1, default = 5 }
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a settings file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str = "", environ: dict[str, str] | None = None) -> Config:
    file = Path("poller.toml")
    file.write_text(text)
    return load_config(file, environ or {})


def refusal(text: str = "", environ: dict[str, str] | None = None) -> str:
    """The one line that a wrong setting is told in."""
    with pytest.raises(ConfigError) as told:
        load(text, environ) if text else load_config(None, environ or {})
    line = str(told.value)
    assert "\n" not in line
    assert line
    return line


def capsule(setting: str) -> str:
    return f'redis = "redis://x"\n[capsules.mail]\nfunction = "f"\n{setting}\n'


class TestFile:
    def test_everything_that_can_be_set(self):
        config = load(FULL)
        assert (config.redis, config.namespace) == ("redis://file:6379/0", "{app}")
        assert (config.scheduler, config.stop_timeout) == ("app-scheduler", 40.0)
        assert config.capsules == (
            CapsuleConfig("fast", "fast-worker", ("critical", "default"), (), 3, 7, 2, 30.5, detached=True),
            CapsuleConfig("slow", "slow-worker", ("low", "default"), (1, 5)),
        )

    def test_every_queue_is_listed_once(self):
        assert load(FULL).queues == ("critical", "default", "low")

    def test_a_detached_worker_carries_one_job(self):
        fast, slow = load(FULL).capsules
        assert (fast.most_jobs, slow.most_jobs) == (1, 4_000)

    def test_what_is_left_out_has_defaults(self):
        (made,) = load(capsule("")).capsules
        assert made == CapsuleConfig("mail", "f", ("default",), (), 10, 4_000, 1, 60.0, detached=False)

    def test_the_file_in_this_folder_is_found(self):
        Path("sidelamb.toml").write_text(FULL)
        assert load_config(None, {}).redis == "redis://file:6379/0"


class TestEnvironment:
    def test_a_function_is_enough(self):
        config = load_config(None, ENV)
        assert config.redis == "redis://env:6379/0"
        assert config.capsules == (CapsuleConfig("default", "app-worker"),)

    def test_everything_that_can_be_set(self):
        config = load_config(
            None,
            {
                **ENV,
                "SIDELAMB_QUEUES": " critical , default ",
                "SIDELAMB_IN_FLIGHT": "3",
                "SIDELAMB_JOBS_PER_INVOCATION": "7",
                "SIDELAMB_THREADS": "2",
                "SIDELAMB_TIMEOUT": "30.5",
                "SIDELAMB_NAMESPACE": "{app}",
                "SIDELAMB_SCHEDULER_FUNCTION": "sched",
                "SIDELAMB_STOP_TIMEOUT": "5",
            },
        )
        assert config.capsules == (
            CapsuleConfig("default", "app-worker", ("critical", "default"), (), 3, 7, 2, 30.5),
        )
        assert (config.namespace, config.scheduler, config.stop_timeout) == ("{app}", "sched", 5.0)

    def test_queues_may_have_weights(self):
        (made,) = load_config(None, {**ENV, "SIDELAMB_QUEUES": "critical=5, default = 2,low"}).capsules
        assert (made.queues, made.weights) == (("critical", "default", "low"), (5, 2, 1))

    def test_redis_url_is_read_too_and_ours_goes_first(self):
        environ = {"SIDELAMB_FUNCTION": "f", "REDIS_URL": "redis://other"}
        assert load_config(None, environ).redis == "redis://other"
        assert load_config(None, {**environ, **REDIS}).redis == "redis://env:6379/0"

    def test_an_empty_variable_is_none(self):
        environ = dict.fromkeys(["SIDELAMB_QUEUES", "SIDELAMB_IN_FLIGHT", "SIDELAMB_NAMESPACE"], "")
        assert load_config(None, {**ENV, **environ}).capsules == (CapsuleConfig("default", "app-worker"),)

    def test_an_empty_stop_timeout_is_none(self):
        assert load_config(None, {**ENV, "SIDELAMB_STOP_TIMEOUT": ""}).stop_timeout == 25.0


class TestBoth:
    def test_the_environment_wins_where_both_speak(self):
        environ = {
            **REDIS,
            "SIDELAMB_NAMESPACE": "env",
            "SIDELAMB_SCHEDULER_FUNCTION": "env-sched",
            "SIDELAMB_STOP_TIMEOUT": "1",
        }
        config = load(FULL, environ)
        assert (config.redis, config.namespace) == ("redis://env:6379/0", "env")
        assert (config.scheduler, config.stop_timeout) == ("env-sched", 1.0)
        assert [c.name for c in config.capsules] == ["fast", "slow"]

    def test_a_file_without_capsules_takes_the_environments(self):
        config = load('redis = "redis://file"\n', {"SIDELAMB_FUNCTION": "f"})
        assert (config.redis, config.capsules[0].function) == ("redis://file", "f")


class TestRefusals:
    def test_no_redis(self):
        line = refusal("", {"SIDELAMB_FUNCTION": "f"})
        assert "SIDELAMB_REDIS_URL" in line
        assert 'redis = "redis://…"' in line

    def test_no_capsule(self):
        line = refusal("", REDIS)
        assert "SIDELAMB_FUNCTION" in line
        assert "[capsules.default]" in line

    def test_no_such_file(self):
        with pytest.raises(ConfigError, match=r"missing\.toml cannot be read: No such file"):
            load_config(Path("missing.toml"), {})

    @pytest.mark.parametrize("text", ["redis = ", "= 1", "[capsules", "redis = 'a' 'b'"])
    def test_no_toml(self, text):
        assert "poller.toml is not TOML" in refusal(text)

    def test_no_text_at_all(self):
        Path("poller.toml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigError, match="is not TOML"):
            load_config(Path("poller.toml"), {})

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('redos = "x"', ["unknown setting 'redos'", "did you mean 'redis'?"]),
            ('zzz = "x"', ["unknown setting 'zzz'", "known are redis, namespace, scheduler"]),
            (capsule("queue = ['a']"), ["capsule 'mail'", "unknown setting 'queue'", "did you mean 'queues'?"]),
            (capsule("inflight = 3"), ["unknown setting 'inflight'", "did you mean 'in_flight'?"]),
            (capsule("weights = [1]"), ["unknown setting 'weights'"]),
            (capsule("name = 'x'"), ["unknown setting 'name'"]),
        ],
    )
    def test_an_unknown_setting_gets_the_nearest_known_one(self, text, words):
        line = refusal(text, ENV if "capsules" not in text else {})
        for word in words:
            assert word in line

    @pytest.mark.parametrize(
        ("setting", "words"),
        [
            ("in_flight = 0", ["in_flight", "from 1 to 10000", "not 0"]),
            ("in_flight = -3", ["in_flight", "not -3"]),
            ("in_flight = 10001", ["in_flight", "not 10001"]),
            ("in_flight = true", ["in_flight", "not True"]),
            ("in_flight = 'many'", ["in_flight", "'many'"]),
            ("in_flight = nan", ["in_flight", "nan"]),
            ("in_flight = inf", ["in_flight", "inf"]),
            ("jobs = 0", ["jobs", "from 1 to 10000"]),
            ("jobs = []", ["jobs", "[]"]),
            ("threads = 0", ["threads", "from 1 to 1000"]),
            ("threads = 1001", ["threads", "1001"]),
            ("timeout = 0", ["timeout", "from 1 to 900"]),
            ("timeout = 901", ["timeout", "901"]),
            ("detached = 'yes'", ["detached must be a bool", "'yes'"]),
            ("detached = 1", ["detached must be a bool"]),
            ("queues = []", ["queues must be a list of names", "[]"]),
            ("queues = {}", ["queues must be a list of names", "{}"]),
            ("queues = 'default'", ["queues must be a list of names", "'default'"]),
            ("queues = ['a b']", ["'a b' is no queue name", "letters, digits"]),
            ("queues = ['']", ["'' is no queue name"]),
            ("queues = [5]", ["5 is no queue name"]),
            ("queues = ['a', 'b', 'a']", ["stands twice in a, b, a"]),
            ("queues = { a = 0 }", ["weight", "not 0"]),
            ("queues = { a = 'x' }", ["weight", "'x'"]),
        ],
    )
    def test_a_wrong_value_is_named_with_its_capsule_and_what_it_may_be(self, setting, words):
        line = refusal(capsule(setting))
        assert "capsule 'mail'" in line
        for word in words:
            assert word in line

    @pytest.mark.parametrize("setting", ["function = ''", "function = 5"])
    def test_a_capsule_without_a_function(self, setting):
        line = refusal(f'redis = "redis://x"\n[capsules.mail]\n{setting}\n')
        assert "capsule 'mail'" in line
        assert "function" in line

    @pytest.mark.parametrize("name", ["a b", "größe", "f/1"])
    def test_a_function_that_lambda_could_not_have(self, name):
        line = refusal(f'redis = "redis://x"\n[capsules.mail]\nfunction = "{name}"\n')
        assert f"capsule 'mail': function is {name!r}; write its name, or its ARN" in line
        line = refusal(f'redis = "redis://x"\nscheduler = "{name}"\n[capsules.mail]\nfunction = "f"\n')
        assert f"scheduler is {name!r}; write its name, or its ARN" in line

    @pytest.mark.parametrize(
        "name", ["app-worker_2", "f:live", "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"]
    )
    def test_a_function_may_have_a_qualifier_and_be_an_arn(self, name):
        config = load("redis = 'redis://x'\n[capsules.mail]\nfunction = '%s'\n" % name)
        assert config.capsules[0].function == name

    def test_a_capsule_with_a_strange_name(self):
        line = refusal('redis = "redis://x"\n[capsules."a b"]\nfunction = "f"\n')
        assert "capsule 'a b': a name has letters" in line

    @pytest.mark.parametrize("value", ["'x'", "5", "[1]"])
    def test_capsules_that_are_no_tables(self, value):
        assert "must be tables, like [capsules.default]" in refusal(f'redis = "redis://x"\ncapsules = {value}\n')

    def test_a_capsule_that_is_no_table(self):
        line = refusal('redis = "redis://x"\n[capsules]\nmail = "f"\n')
        assert "capsule 'mail' must be a table: [capsules.mail]" in line

    @pytest.mark.parametrize(
        ("text", "setting"),
        [("redis = 5", "redis"), ("namespace = 5", "namespace"), ("scheduler = ['x']", "scheduler")],
    )
    def test_a_text_that_is_none(self, text, setting):
        environ = {"SIDELAMB_FUNCTION": "f"} | ({} if setting == "redis" else REDIS)
        assert f"{setting} must be a str" in refusal(text, environ)

    @pytest.mark.parametrize("value", ["-1", "901", "'x'", "true"])
    def test_a_stop_timeout_that_cannot_be(self, value):
        assert "stop_timeout must be a number from 0 to 900" in refusal(f"stop_timeout = {value}\n", ENV)

    @pytest.mark.parametrize(
        ("variable", "value", "word"),
        [
            ("SIDELAMB_IN_FLIGHT", "ten", "SIDELAMB_IN_FLIGHT"),
            ("SIDELAMB_IN_FLIGHT", "0", "in_flight"),
            ("SIDELAMB_JOBS_PER_INVOCATION", "x", "SIDELAMB_JOBS_PER_INVOCATION"),
            ("SIDELAMB_THREADS", "-1", "SIDELAMB_THREADS"),
            ("SIDELAMB_TIMEOUT", "nan", "SIDELAMB_TIMEOUT"),
            ("SIDELAMB_TIMEOUT", "901", "timeout"),
            ("SIDELAMB_QUEUES", "a b", "'a b' is no queue name"),
            ("SIDELAMB_QUEUES", "a,a", "stands twice"),
            ("SIDELAMB_QUEUES", "a=x", "weight of a"),
            ("SIDELAMB_QUEUES", "a=0", "weight of a"),
            ("SIDELAMB_QUEUES", ",", "queues must be a list"),
        ],
    )
    def test_a_wrong_variable_is_named(self, variable: str, value: str, word: str):
        assert word in refusal("", {**ENV, variable: value})

    @pytest.mark.parametrize("setting", ["in_flight = 1.9", "jobs = 2.5", "threads = 1.5", "queues = {a = 1.5}"])
    def test_a_count_is_whole(self, setting: str):
        refusal(capsule(setting))

    def test_a_queue_with_two_weights_stands_twice(self):
        assert "stands twice" in refusal("", {**ENV, "SIDELAMB_QUEUES": "a=1,a=5"})


class TestTextInTheEnvironment:
    def test_it_stands_for_the_file(self):
        config = load_config(None, {"SIDELAMB_TOML": FULL})
        assert config.queues == ("critical", "default", "low")
        assert config.redis == "redis://file:6379/0"

    def test_other_variables_win_over_it_and_a_file_that_is_named_too(self, elsewhere):
        (elsewhere / "other.toml").write_text('[capsules.other]\nfunction = "other"\n')
        assert load_config(None, {"SIDELAMB_TOML": FULL} | REDIS).redis == "redis://env:6379/0"
        config = load_config(Path("other.toml"), {"SIDELAMB_TOML": FULL} | REDIS)
        assert [capsule.name for capsule in config.capsules] == ["other"]

    def test_an_empty_one_is_none(self):
        assert load_config(None, {"SIDELAMB_TOML": "\n"} | ENV).capsules[0].function == "app-worker"

    @pytest.mark.parametrize(("text", "word"), [("capsules", "not TOML"), ("redes = 1", "did you mean 'redis'")])
    def test_what_is_wrong_in_it_is_said(self, text, word):
        with pytest.raises(ConfigError, match=f"SIDELAMB_TOML.*{word}"):
            load_config(None, {"SIDELAMB_TOML": text} | REDIS)


def test_settings_cannot_be_changed_by_accident():
    config: Any = load_config(None, ENV)
    with pytest.raises(AttributeError):
        config.redis = "other"


class TestCaps:
    def test_are_of_the_queues_that_each_capsule_serves(self):
        config = load(FULL + "[queues.default]\ncap = 4\n[queues.low]\ncap = 1\n[queues.critical]\n")
        assert [capsule.caps for capsule in config.capsules] == [{"default": 4}, {"low": 1, "default": 4}]

    def test_may_come_from_the_environment_which_wins(self):
        caps = {"SIDELAMB_CAPS": "default=2, low = 9"}
        config = load(FULL + "[queues.default]\ncap = 4\n", caps)
        assert config.capsules[1].caps == {"low": 9, "default": 2}
        assert load_config(None, {**ENV, "SIDELAMB_CAPS": "default=1"}).capsules[0].caps == {"default": 1}

    @pytest.mark.parametrize(
        ("text", "caps", "says"),
        [
            (
                "[queues.defualt]\ncap = 1",
                "",
                "queue 'defualt' has a cap, and no capsule serves it; did you mean 'default'?",
            ),
            ("", "mail=1", "served are critical, default, low"),
            ("[queues.low]\ncaps = 1", "", "queue 'low': unknown setting 'caps'; did you mean 'cap'?"),
            ("[queues.low]\ncap = 0", "", "queue 'low': cap must be a number from 1 to 1000, not 0"),
            ("[queues.low]\ncap = 1.5", "", "queue 'low': cap must be a whole number, not 1.5"),
            ("[queues]\nlow = 1", "", "[queues] must be tables, like [queues.mail] with cap = 1"),
            ("", "low", "SIDELAMB_CAPS: cap of 'low' must be a number from 1 to 1000, not ''"),
            ("", "low=x", "SIDELAMB_CAPS: cap of 'low' must be a number from 1 to 1000, not 'x'"),
        ],
    )
    def test_that_cannot_be_are_told_in_a_line(self, text: str, caps: str, says: str):
        assert says in refusal(FULL + text, {"SIDELAMB_CAPS": caps})
