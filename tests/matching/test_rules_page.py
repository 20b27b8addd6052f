"""The page of rules that ministries read is compared with the program, so that its tables cannot lie."""

import re
from dataclasses import fields
from pathlib import Path

from apps.matching.scoring.eligibility import checks, counted
from apps.policy import terms
from apps.policy.values import PolicyValues

PAGE = (Path(__file__).resolve().parents[2] / "docs/matching/rules.md").read_text(encoding="utf-8")


def table(heading: str) -> list[dict[str, str]]:
    """The rows of the first table below a heading, by the names of their columns."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:] if len(row) == len(rows[0])]


def test_the_page_of_rules_has_every_check() -> None:
    written = [row["code"].strip("`") for row in table("Which offers may serve a need")]

    asked, told = ([check.reason for check in some] for some in (checks(), counted()))
    assert [code for code in written if code in asked] == asked
    assert [code for code in written if code in told] == told
    assert set(written) == {*asked, *told}


def test_the_page_of_rules_has_the_terms_and_their_default_weights() -> None:
    written = {row["term"].strip("`"): float(row["default weight"]) for row in table("Which offer is preferred")}

    assert written == {term.name: term.default_weight for term in terms.registered()}


def test_the_page_of_rules_has_every_setting_and_its_default() -> None:
    written = {row["name"].strip("`"): row["default"] for row in table("What a policy can set") if "name" in row}
    policy = PolicyValues()
    plain = {one.name: getattr(policy, one.name) for one in fields(policy) if one.name not in {"weights", "phases"}}

    assert written.keys() == {one.name for one in fields(policy)}
    for name, default in plain.items():
        if isinstance(default, dict):
            assert dict(re.findall(r"(\w+) (\d+)", written[name])) == {key: str(one) for key, one in default.items()}
        else:
            assert written[name] == str(default), name
