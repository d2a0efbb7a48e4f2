"""How an app is read: what it says itself, and what is derived."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest

from sidelamb import ConfigError
from sidelamb_handlers.config import load_config
from sidelamb_local.address import free_port_of, remember, remembered
from sidelamb_local.errors import LocalStackError
from sidelamb_local.poller_toml import to_toml
from sidelamb_local.probe import Found, probe
from sidelamb_local.project import data_dir_of, load_project
from sidelamb_local.scaffold import files

JOBS = "from sidelamb import job\n@job(queue='low')\ndef work(): ...\n"
TEMPLATE = """
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: app-worker
      CodeUri: src
      Handler: sidelamb_handlers.worker.handler
      Timeout: 45
      Environment:
        Variables: {SIDELAMB_JOBS: "tasks", COLOUR: red, SIDELAMB_REDIS_URL: "redis://there"}
  Clock:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: sidelamb_handlers.scheduler.handler
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SIDELAMB_") or name == "REDIS_URL":
            monkeypatch.delenv(name)


@pytest.fixture
def plain(tmp_path):
    """An app that is a jobs.py and nothing else."""
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


@pytest.fixture
def app(tmp_path):
    """An app with a template."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "tasks.py").write_text(JOBS)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path


def read(folder, **options):
    return load_project(folder, in_flight=4, **options)


def look(code, folder, modules=("jobs",)):
    (folder / "jobs.py").write_text(code)
    return probe(modules, folder, os.environ)


# --- a folder with a jobs.py ---


def test_a_jobs_module_is_enough(plain):
    project = read(plain)
    assert (project.modules, project.worker.handler) == (("jobs",), "sidelamb_handlers.worker.handler")
    assert project.worker.code_dir == plain
    assert (project.config.scheduler, project.config.capsules[0].timeout) == ("SchedulerFunction", 60)


def test_reading_an_app_writes_nothing(plain):
    read(plain)
    assert [path.name for path in plain.iterdir()] == ["jobs.py"]


def test_a_package_of_jobs_will_do(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()
    assert read(tmp_path).modules == ("jobs",)


def test_a_folder_without_jobs_says_what_to_create(tmp_path):
    with pytest.raises(LocalStackError, match=r"create jobs.py with a function under @job, or say --jobs"):
        read(tmp_path)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(LocalStackError, match="is not a folder"):
        read(tmp_path / "away")


def test_modules_are_those_given_or_those_of_the_environment(plain, monkeypatch):
    monkeypatch.setenv("SIDELAMB_JOBS", "a.jobs, b")
    assert read(plain).modules == ("a.jobs", "b")
    assert read(plain, modules=("c",)).env["SIDELAMB_JOBS"] == "c"


def test_the_built_in_template_is_written_once_and_then_left_alone(plain):
    project = read(plain)
    project.write_built_in()
    before = project.template.stat().st_mtime_ns
    read(plain).write_built_in()
    assert project.template.stat().st_mtime_ns == before
    assert read(plain, template=project.template).worker.code_dir == plain


def test_what_jobs_name_is_served_and_default_too(plain):
    assert read(plain).config.queues == ("default",)
    project = read(plain).probed()
    assert project.config.queues == ("low", "default")
    assert project.jobs == Found(("low",), ("jobs.work",))


# --- an app with a template ---


def test_the_template_gives_functions_timeout_and_modules(app):
    project = read(app)
    [capsule] = project.config.capsules
    assert (capsule.function, capsule.timeout, capsule.in_flight) == ("app-worker", 45, 4)
    assert (project.config.scheduler, project.modules) == ("Clock", ("tasks",))
    project.write_built_in()
    assert not (app / ".sidelamb").exists()


def test_this_shell_wins_over_the_template_for_what_it_declares(app, monkeypatch):
    monkeypatch.setenv("COLOUR", "blue")
    monkeypatch.setenv("OTHER", "secret")
    env = read(app, env={"MORE": "yes"}).env
    assert (env["COLOUR"], env["MORE"]) == ("blue", "yes")
    assert "OTHER" not in env


def test_a_template_without_a_worker_says_what_to_write(app):
    (app / "template.yaml").write_text(TEMPLATE.replace("sidelamb_handlers.worker.handler", "mine.handler"))
    with pytest.raises(LocalStackError, match="has no worker: give one of its functions"):
        read(app)


def test_several_workers_need_a_file_that_says_who_serves_what(app):
    (app / "template.yaml").write_text(TEMPLATE.replace("sidelamb_handlers.scheduler", "sidelamb_handlers.worker"))
    with pytest.raises(LocalStackError, match=r"several workers \(app-worker, Clock\); say in sidelamb.toml"):
        read(app)


def test_a_worker_without_modules_says_where_to_name_them(app):
    (app / "template.yaml").write_text(TEMPLATE.replace('SIDELAMB_JOBS: "tasks", ', ""))
    with pytest.raises(LocalStackError, match=r"set SIDELAMB_JOBS for app-worker in .*template.yaml"):
        read(app)


# --- sidelamb.toml ---


def test_the_apps_own_capsules_are_kept_but_for_the_size_of_this_machine(app):
    (app / "sidelamb.toml").write_text(
        'namespace = "n"\nscheduler = "Clock"\n[capsules.main]\nfunction = "app-worker"\n'
        "queues = { high = 5, low = 1 }\nin_flight = 500\njobs = 7\nthreads = 2\ntimeout = 46\n"
    )
    config = read(app).probed().config
    [capsule] = config.capsules
    assert (capsule.queues, capsule.weights, capsule.in_flight) == (("high", "low"), (5, 1), 4)
    assert (capsule.jobs, capsule.threads, capsule.timeout) == (7, 2, 46)
    assert (config.namespace, config.stop_timeout) == ("n", 5)
    assert read(app, namespace="other").config.namespace == "other"


def test_a_function_that_the_template_does_not_have_is_named(app):
    (app / "sidelamb.toml").write_text('[capsules.main]\nfunction = "app-wroker"\n')
    with pytest.raises(
        LocalStackError, match=r"names the function 'app-wroker', and .* has only app-worker, Clock"
    ):
        read(app)


def test_a_wrong_setting_is_the_pollers_own_error(app):
    (app / "sidelamb.toml").write_text('[capsules.main]\nfunction = "app-worker"\nqueues = ["a", "a"]\n')
    with pytest.raises(ConfigError, match="a queue stands twice"):
        read(app)


@pytest.mark.parametrize(
    "queues",
    [
        "queues = { high = 5, low = 1 }",
        'queues = ["a", "b"]\ndetached = true',
        'queues = ["a"]\n[queues.a]\ncap = 3',
    ],
)
def test_settings_written_for_the_poller_are_read_by_it_as_they_were(app, queues):
    (app / "sidelamb.toml").write_text(
        f'namespace = "é{{x}}"\n[capsules."a.b"]\nfunction = "app-worker"\n{queues}\n'
    )
    config = read(app).config
    file = data_dir_of(app) / "poller.toml"
    file.write_text(to_toml(config))
    assert load_config(file, {"SIDELAMB_REDIS_URL": "redis://local"}) == config.__class__(
        "redis://local", config.capsules, config.namespace, config.scheduler, config.stop_timeout
    )


# --- several functions, as sidelamb init's template has them ---

VIDEO = """\
  VideoFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-video"
      CodeUri: media
      Handler: sidelamb_handlers.worker.handler
      Timeout: 900
      Environment: {Variables: {SIDELAMB_JOBS: video.jobs}}
"""
CAPSULES = """\
[capsules.default]
function = "${AWS::StackName}-worker:live"
timeout = 60
[capsules.video]
function = "${AWS::StackName}-video:live"
queues = ["video"]
in_flight = 50
timeout = 900
"""


@pytest.fixture
def media(tmp_path):
    """What `sidelamb init` writes, and a function with a folder and jobs of its own."""
    for name, text in files("shop").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    write_section(tmp_path, "resources", VIDEO)
    (tmp_path / "media" / "video").mkdir(parents=True)
    (tmp_path / "media" / "video" / "jobs.py").write_text(JOBS.replace("low", "video"))
    return tmp_path


def write_section(folder, title, text):
    mark, written = f"# --- yours: {title}\n", (folder / "template.yaml").read_text()
    assert mark in written
    (folder / "template.yaml").write_text(written.replace(mark, mark + text))


def each_has_its_own(project):
    assert [capsule.function for capsule in project.config.capsules] == ["WorkerFunction", "VideoFunction"]
    assert project.config.queues == ("default", "video")
    assert project.config.capsules[1].in_flight == 4
    assert project.modules == ("jobs", "video.jobs")
    assert "SIDELAMB_JOBS" not in project.env, "each function has its own"
    assert project.probed().jobs == Found(("default", "video"), ("jobs.greet", "video.jobs.work"))


def test_capsules_in_the_templates_own_section_are_the_ones_here_too(media):
    write_section(media, "capsules", textwrap.indent(CAPSULES, " " * 16))
    project = read(media)
    each_has_its_own(project)
    assert (project.config.scheduler, project.config.namespace) == ("SchedulerFunction", "")
    assert project.config.stop_timeout == 5


def test_a_pollers_file_may_have_the_names_of_aws(media):
    text = CAPSULES.replace("${AWS::StackName}", "shop")
    (media / "sidelamb.toml").write_text(f'scheduler = "shop-scheduler:live"\n{text}')
    each_has_its_own(read(media))
    (media / "sidelamb.toml").write_text(text.replace("shop-video", "shop-vdieo"))
    with pytest.raises(
        LocalStackError, match=r"names the function 'shop-vdieo:live', and .* has only shop-worker, "
    ):
        read(media)


def test_modules_that_are_asked_for_are_those_of_all_functions(media):
    write_section(media, "capsules", textwrap.indent(CAPSULES, " " * 16))
    project = read(media, modules=("a", "b"))
    assert (project.modules, project.env["SIDELAMB_JOBS"]) == (("a", "b"), "a,b")


def test_capsules_that_are_wrong_are_the_pollers_own_error(media):
    write_section(media, "capsules", " " * 16 + "[capsules.video\n")
    with pytest.raises(ConfigError, match="SIDELAMB_TOML is not TOML"):
        read(media)


def test_no_parameter_of_a_deploy_reaches_a_function_here(media):
    config = (media / "samconfig.toml").read_text()
    given = (
        'capabilities = "CAPABILITY_IAM"\nparameter_overrides = "RedisUrl=\\"rediss://in.use\\" WorkerTimeout=90"'
    )
    (media / "samconfig.toml").write_text(config.replace('capabilities = "CAPABILITY_IAM"', given, 1))
    write_section(media, "capsules", textwrap.indent(CAPSULES, " " * 16))
    project = read(media)
    assert "in.use" not in str(project)
    assert project.worker.timeout_s == 60


@pytest.mark.parametrize("wrong", ["not toml", '[default.deploy.parameters]\nparameter_overrides = "A=\\"b"'])
def test_a_samconfig_that_cannot_be_read_is_one_line(media, wrong):
    (media / "samconfig.toml").write_text(wrong)
    with pytest.raises(LocalStackError, match=r"samconfig.toml.* cannot be read") as caught:
        read(media)
    assert "\n" not in str(caught.value)


def test_an_image_runs_here_from_its_folder_if_it_names_its_handler(media):
    image = VIDEO.replace(
        "      CodeUri: media\n      Handler: sidelamb_handlers.worker.handler\n", "      PackageType: Image\n%s"
    )
    command = '      ImageConfig: {Command: ["sidelamb_handlers.worker.handler"]}\n'
    image = image.replace(
        "    Properties", "    Metadata: {DockerContext: media, Dockerfile: Dockerfile}\n    Properties"
    )
    before = (media / "template.yaml").read_text()
    (media / "template.yaml").write_text(before.replace(VIDEO, image % command))
    write_section(media, "capsules", textwrap.indent(CAPSULES, " " * 16))
    each_has_its_own(read(media))
    (media / "template.yaml").write_text(before.replace(VIDEO, image % ""))
    assert "VideoFunction" not in read(media).functions


# --- the look at an app's code ---


def test_an_app_may_print_and_start_threads_while_it_is_imported(tmp_path):
    code = "print('{}')\nimport threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()\n" + JOBS
    assert look(code, tmp_path) == Found(("low",), ("jobs.work",))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import json\nimport not_there\n", "jobs.py, line 2: ModuleNotFoundError: No module named 'not_there'"),
        ("def f():\n    return 1 / 0\nf()\n", r"jobs.py, line 2: ZeroDivisionError: .*\(in: return 1 / 0\)"),
        ("import json\njson.loads('')\n", r"jobs.py, line 2: json.decoder.JSONDecodeError: .*json.loads\(''\)"),
        ("x = (\n", "jobs.py, line 1: SyntaxError: '\\(' was never closed"),
        ("import sys\nsys.exit('no')\n", "jobs.py, line 2: SystemExit: no"),
        ("import os\nos._exit(3)\n", "importing jobs ended the process: exit status 3"),
        ("from sidelamb import job\n@job(qeue='x')\ndef f(): ...\n", "qeue.*queue"),
    ],
)
def test_code_that_cannot_be_imported_is_one_line_with_its_place(tmp_path, code, said):
    with pytest.raises(LocalStackError, match=said) as caught:
        look(code, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LocalStackError, match="SIDELAMB_JOBS names 'jbos', and there is no module 'jbos'"):
        look(JOBS, tmp_path, modules=["jbos"])


def test_an_apps_module_cannot_take_the_place_of_one_of_ours(tmp_path):
    (tmp_path / "subprocess.py").write_text("raise RuntimeError('the wrong one')\n")
    assert look(JOBS, tmp_path).names == ("jobs.work",)
    assert "subprocess" in sys.modules


# --- where its Redis is ---


def test_the_address_is_remembered_for_the_owner_alone(plain):
    assert remembered(plain) is None
    remember(data_dir_of(plain), "redis://:secret@127.0.0.1:7777/0")
    assert remembered(plain) == "redis://:secret@127.0.0.1:7777/0"
    assert (plain / ".sidelamb" / "redis.url").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("url", ["redis://elsewhere:6379/0", "rubbish", ""])
def test_an_address_that_is_not_this_machines_is_no_port_to_take(plain, url):
    remember(data_dir_of(plain), url)
    assert free_port_of(data_dir_of(plain)) is None
