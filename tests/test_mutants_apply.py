"""The mutations of mutants.jsonl still fit the code; `mutants.py` tries them, by hand."""

from __future__ import annotations

import pytest
from mutants import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutation_changes_one_place_and_names_a_test(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text("utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    file, *names = mutant.test.split("::")
    text = (ROOT / file).read_text("utf-8")
    assert all(f"def {name.partition('[')[0]}" in text for name in names)
