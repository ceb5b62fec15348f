import yaml

from theta0.sweep.commands import record_command


def test_commands_are_appended_and_never_rewritten(tmp_path):
    study = tmp_path / "logs" / "first"
    record_command(study, ["optimizer=adam,adamw", "study=first"], multirun=True)
    before = (study / "commands.yaml").read_text()
    record_command(study, ["seed=1"], multirun=False)
    after = (study / "commands.yaml").read_text()
    assert after.startswith(before)
    entries = yaml.safe_load(after)
    assert [entry["overrides"] for entry in entries] == [
        ["optimizer=adam,adamw", "study=first"],
        ["seed=1"],
    ]
    assert [entry["multirun"] for entry in entries] == [True, False]
