"""Table mappings and task settings: what is supported is understood, everything else is refused by its name."""

import json
from typing import Any

import pytest

from local.replication import mappings, task_settings

SELECTION = {
    **{"rule-type": "selection", "rule-id": "1", "rule-name": "1", "rule-action": "include"},
    "object-locator": {"schema-name": "public", "table-name": "tb_%"},
}
ADDED = {
    **{"rule-type": "transformation", "rule-id": "2", "rule-name": "2", "rule-target": "column", "rule-action": "add-column"},
    **{"object-locator": {"schema-name": "%", "table-name": "tb_coins"}, "value": "seq", "expression": "$AR_H_CHANGE_SEQ"},
    "data-type": {"type": "string", "length": 50},
}
REQUIRED: dict[str, dict[str, Any]] = {
    "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"},
    "ChangeProcessingDdlHandlingPolicy": {"HandleSourceTableTruncated": False, "HandleSourceTableDropped": False},
}


def parsed(*rules: dict[str, Any]) -> mappings.Mappings:
    return mappings.parse(json.dumps({"rules": rules}))


def test_selection_by_wildcards_and_exclusion() -> None:
    excluded = {**SELECTION, "rule-id": "3", "rule-action": "exclude"}
    excluded["object-locator"] = {"schema-name": "public", "table-name": "tb_old%"}
    found = parsed(SELECTION, ADDED, excluded)
    assert found.selects("public", "tb_coins")
    assert not found.selects("public", "listings")
    assert not found.selects("other", "tb_coins")
    assert not found.selects("public", "tb_older")
    assert not found.selects("public", "tbxcoins")  # an underscore is itself
    assert found.sequence_columns("public", "tb_coins") == ("seq",)
    assert found.sequence_columns("public", "tb_other") == ()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], "no selection"),
        ([ADDED], "no selection"),
        ([SELECTION, SELECTION], "rule-id"),
        ([{**SELECTION, "rule-action": "explicit"}], "explicit"),
        ([{**SELECTION, "filters": [{"filter-type": "source"}]}], "filters"),
        ([{**SELECTION, "load-order": "1"}], "load-order"),
        ([{**SELECTION, "object-locator": {"schema-name": "public"}}], "object-locator"),
        ([SELECTION, {**ADDED, "rule-action": "remove-column"}], "add-column"),
        ([SELECTION, {**ADDED, "expression": "$AR_M_SOURCE_TABLE_NAME"}], "AR_H_CHANGE_SEQ"),
        ([SELECTION, {**ADDED, "data-type": {"type": "string", "length": 20}}], "35"),
        ([{**SELECTION, "rule-type": "table-settings"}], "table-settings"),
    ],
)
def test_unsupported_mappings(rules: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(mappings.MappingError, match=said):
        parsed(*rules)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rules": 1}', '{"rules": [1]}'])
def test_what_are_no_mappings(text: str) -> None:
    with pytest.raises(mappings.MappingError):
        mappings.parse(text)


def test_settings_of_a_task() -> None:
    found = task_settings.parse(json.dumps({**REQUIRED, "Logging": {"EnableLogging": True}, "TargetMetadata": {"LobMaxSize": 64}}))
    assert found == task_settings.TaskSettings(64, True)
    assert task_settings.parse(json.dumps(REQUIRED)) == task_settings.TaskSettings(32, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"FullLoadSettings": {"TargetTablePrepMode": "DROP_AND_CREATE"}}, "DROP_AND_CREATE"),
        ({"FullLoadSettings": {}}, "TargetTablePrepMode must be given"),
        ({"ChangeProcessingDdlHandlingPolicy": {"HandleSourceTableDropped": False}}, "HandleSourceTableTruncated must be given"),
        ({"TargetMetadata": {"SupportLobs": False}}, "SupportLobs"),
        ({"TargetMetadata": {"BatchApplyEnabled": True}}, "BatchApplyEnabled"),
        ({"TargetMetadata": {"LobMaxSize": "big"}}, "LobMaxSize"),
        ({"ValidationSettings": {"EnableValidation": True}}, "EnableValidation"),
        ({"Logging": {"CloudWatchLogGroup": "x"}}, "CloudWatchLogGroup"),
        ({"Loging": {}}, "Loging"),
        ({"ErrorBehavior": {"Nonsense": 1}}, "Nonsense"),
        ({"BeforeImageSettings": {"EnableBeforeImage": True}}, "BeforeImageSettings"),
    ],
)
def test_unsupported_settings(change: dict[str, Any], said: str) -> None:
    with pytest.raises(task_settings.SettingsError, match=said):
        task_settings.parse(json.dumps({**REQUIRED, **change}))
