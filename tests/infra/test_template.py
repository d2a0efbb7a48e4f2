"""Functions read from a SAM template, and one clear line for each way in which one cannot be."""

from __future__ import annotations

import pytest

from sidelamb_local.template import TemplateError, load_template


@pytest.fixture
def load(tmp_path):
    (tmp_path / "src").mkdir()

    def write_and_load(text):
        path = tmp_path / "template.yaml"
        path.write_text(text)
        return load_template(path)

    return write_and_load


def function(properties="", name="Worker"):
    return (
        f"Resources:\n  {name}:\n    Type: AWS::Serverless::Function\n"
        f"    Properties:\n      CodeUri: src\n      Handler: app.handler\n{properties}"
    )


def test_a_plain_function_has_lambdas_defaults(load, tmp_path):
    template = load(function())
    [spec] = template.functions.values()
    assert list(template.functions) == ["Worker"]
    assert (spec.name, spec.logical_id, spec.handler) == ("Worker", "Worker", "app.handler")
    assert spec.code_dir == tmp_path / "src"
    assert (spec.timeout_s, spec.memory_mb, spec.concurrency, spec.schedule_s) == (3, 128, None, None)
    assert spec.environment == {}


def test_snap_start_is_on_only_if_the_template_says_so(load):
    on = "Parameters:\n  Snap: {Type: String, Default: %s}\n" + function("      SnapStart: {ApplyOn: !Ref Snap}\n")
    assert load(on % "PublishedVersions").functions["Worker"].snap_start
    assert not load(on % "None").functions["Worker"].snap_start
    assert not load(function()).functions["Worker"].snap_start


def test_a_function_name_is_its_name_if_it_is_plain(load):
    assert list(load(function("      FunctionName: jobs\n")).functions) == ["jobs"]
    assert list(load(function('      FunctionName: !Sub "${AWS::StackName}-jobs"\n')).functions) == ["Worker"]


def test_globals_are_merged_and_the_functions_own_win(load):
    template = load(
        "Globals:\n  Function:\n    Timeout: 30\n    MemorySize: 256\n"
        "    Environment: {Variables: {A: global, B: global}}\n"
        + function("      MemorySize: 512\n      Environment: {Variables: {B: own, C: own}}\n")
    )
    spec = template.functions["Worker"]
    assert (spec.timeout_s, spec.memory_mb) == (30, 512)
    assert spec.environment == {"A": "global", "B": "own", "C": "own"}


def test_references_and_substitutions_use_the_defaults_of_parameters(load):
    template = load(
        "Parameters:\n  Seconds: {Type: Number, Default: 20}\n  Stage: {Type: String, Default: dev}\n"
        "  Secret: {Type: String}\n"
        + function(
            "      Timeout: !Ref Seconds\n      ReservedConcurrentExecutions: !Ref Seconds\n"
            "      Environment:\n        Variables:\n"
            "          REF: !Ref Stage\n          SUB: !Sub 'at-${Stage}-${!Literal}-${AWS::Region}'\n"
            "          SUB2: !Sub ['${x}/${Stage}', {x: !Ref Seconds}]\n"
            "          LONG: {'Fn::Sub': '${Stage}'}\n"
            "          JOIN: !Join [':', [a, !Ref Stage]]\n"
            "          NUMBER: 5\n          TRUTH: true\n"
            "          UNKNOWN: !Ref Secret\n          ATT: !GetAtt Cache.Endpoint\n"
            "          DEEP: !Sub 'redis://${Cache.Endpoint}'\n          MIXED: !Join ['', [x, !Ref Secret]]\n"
            "          IMPORTED: !ImportValue there\n          NONE: !Ref AWS::NoValue\n"
        )
    )
    spec = template.functions["Worker"]
    assert (spec.timeout_s, spec.concurrency) == (20, 20)
    assert spec.environment == {
        "REF": "dev",
        "SUB": "at-dev-${Literal}-us-east-1",
        "SUB2": "20/dev",
        "LONG": "dev",
        "JOIN": "a:dev",
        "NUMBER": "5",
        "TRUTH": "true",
    }


def test_functions_know_each_others_names(load):
    template = load(
        function(
            "      Environment:\n        Variables:\n"
            "          SELF: !Ref Worker\n          ARN: !GetAtt Worker.Arn\n          SUB: !Sub '${Worker.Arn}'\n"
            "      FunctionName: jobs\n"
        )
    )
    arn = "arn:aws:lambda:us-east-1:000000000000:function:jobs"
    assert template.functions["jobs"].environment == {"SELF": "jobs", "ARN": arn, "SUB": arn}


def test_conditions_and_mappings_are_evaluated(load):
    template = load(
        "Parameters:\n  Stage: {Type: String, Default: dev}\n  Id: {Type: String}\n"
        "Mappings:\n  Sizes: {dev: {memory: 256}, prod: {memory: 1024}}\n"
        "Conditions:\n  IsDev: !Equals [!Ref Stage, dev]\n  IsProd: !Not [!Condition IsDev]\n"
        "  Both: !And [!Condition IsDev, !Condition IsProd]\n"
        "  Either: !Or [!Condition IsDev, !Equals [!Ref Id, x]]\n"
        "  Dark: !Equals [!Ref Id, x]\n"
        + function(
            "      MemorySize: !FindInMap [Sizes, !Ref Stage, memory]\n"
            "      Environment:\n        Variables:\n"
            "          A: !If [IsDev, yes_, no_]\n          B: !If [IsProd, yes_, no_]\n"
            "          C: !If [Both, yes_, no_]\n          D: !If [Either, yes_, no_]\n"
            "          E: !If [Dark, yes_, no_]\n"
        )
    )
    spec = template.functions["Worker"]
    assert spec.memory_mb == 256
    assert spec.environment == {"A": "yes_", "B": "no_", "C": "no_", "D": "yes_"}


@pytest.mark.parametrize(
    ("event", "seconds"),
    [
        ("{Type: Schedule, Properties: {Schedule: rate(1 minute)}}", 60),
        ("{Type: ScheduleV2, Properties: {ScheduleExpression: rate(2 hours)}}", 7200),
        ("{Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day)}}", 86_400),
        ("{Type: ScheduleV2, Properties: {ScheduleExpression: 'cron(0 * * * ? *)'}}", None),
        ("{Type: Schedule, Properties: {Schedule: rate(1 minute), Enabled: false}}", None),
        ("{Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 minute), State: DISABLED}}", None),
        ("{Type: SQS, Properties: {Queue: x}}", None),
    ],
)
def test_a_rate_is_a_schedule(load, event, seconds):
    template = load(function(f"      Events:\n        Timer: {event}\n"))
    assert template.functions["Worker"].schedule_s == seconds


def test_what_is_no_python_from_a_folder_is_left_out(load):
    template = load(
        function()
        + "  Web: {Type: AWS::Serverless::Function, Properties: {Runtime: nodejs22.x, Handler: a.b, CodeUri: w}}\n"
        + "  Inline: {Type: AWS::Serverless::Function, Properties: {Handler: index.b, InlineCode: 'b = print'}}\n"
        + "  Image: {Type: AWS::Serverless::Function, Properties: {PackageType: Image}}\n"
        + "  Queue: {Type: AWS::SQS::Queue}\n"
    )
    assert list(template.functions) == ["Worker"]


@pytest.mark.parametrize(("page", "there"), [("off", ["Worker"]), ("on", ["Worker", "Web"])])
def test_what_no_stack_would_have_is_left_out(load, page, there):
    template = load(
        f"Parameters: {{Page: {{Type: String, Default: '{page}'}}, Id: {{Type: String}}}}\n"
        "Conditions:\n  HasPage: !Equals [!Ref Page, 'on']\n  Dark: !Equals [!Ref Id, x]\n"
        + function().replace("    Properties", "    Condition: Dark\n    Properties")
        + "  Web: {Type: AWS::Serverless::Function, Condition: HasPage, Properties: {Handler: a.b, CodeUri: .}}\n"
    )
    assert list(template.functions) == there


NO_CODE = "Resources: {F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b%s}}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\nb: 2\n", "line 2 is not YAML"),
        ("a: \x00", "is not YAML"),
        ("", "has no Resources section; write one"),
        ("- 1", "has no Resources section; write one"),
        ("Resources: {}", "has no Resources; add"),
        ("Resources: {Q: {Type: AWS::SQS::Queue}}", "has no Lambda functions in Python; add"),
        (NO_CODE % "", "F has no local CodeUri; name the folder"),
        (NO_CODE % ", CodeUri: {Bucket: b, Key: k}", "F has no local CodeUri; name the folder"),
        (NO_CODE % ", CodeUri: nowhere", "F: CodeUri nowhere is not a folder"),
        ("Resources: {F: {Type: AWS::Serverless::Function}}", "F has no Handler; write one as"),
        (NO_CODE.replace("a.b", "a") % "", 'F: Handler is a; write it as "module.function"'),
        (
            function("      FunctionName: my worker\n"),
            "Worker: FunctionName is my worker; write at most 64 letters",
        ),
        (
            function("      Environment: {Variables: [A]}\n"),
            "Worker: Variables of Environment is ['A']; write NAME",
        ),
        (function("      Timeout: 901\n"), "Worker: Timeout is 901; write a whole number from 1 to 900"),
        (function("      Timeout: soon\n"), "Worker: Timeout is soon; write a whole number"),
        (function("      Timeout: true\n"), "Worker: Timeout is True; write a whole number"),
        (function("      MemorySize: 64\n"), "Worker: MemorySize is 64; write a whole number from 128 to 10240"),
        (function("      Timeout: !GetAtt A.B\n"), "Timeout is something only AWS knows; write a whole number"),
    ],
)
def test_each_error_is_one_line_that_says_what_to_do(load, text, says):
    with pytest.raises(TemplateError) as error:
        load(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TemplateError, match=r"nowhere\.yaml: No such file or directory; name your SAM template"):
        load_template(tmp_path / "nowhere.yaml")
