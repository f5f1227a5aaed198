"""What `longtail info` says, held against the catalogue."""

from __future__ import annotations

import pytest

from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.reporting.info import page
from longtail.study.study import Study, load_study


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study({"targets": ["digits"]})


def test_every_method_dataset_and_paper_has_a_page(study: Study) -> None:
    catalog = study.catalog
    for name, method in catalog.methods.items():
        if name not in catalog.papers:  # whose page counts the trainings of all its tables
            assert page(study, name).startswith(f"{method.title} (method {name})")
    for name, dataset in catalog.datasets.items():
        if name not in catalog.papers:
            assert page(study, name).startswith(f"{dataset.title} (dataset {name}")


def test_a_method_is_told_with_the_values_and_origins_of_its_settings(study: Study) -> None:
    said = " ".join(page(study, "balanced-softmax").split())
    method = study.catalog.methods["balanced-softmax"]
    (step,) = method.recipe
    objective = study.catalog.objectives[step["objective"]]
    assert objective.implementation in said
    for name, setting in objective.settings.items():
        assert name in said
        if "value" in setting and isinstance(setting["value"], int | float | bool):
            assert str(setting["value"]).casefold() in said.casefold()
    assert "shown in: " in said


def test_what_paper_and_code_say_differently_stands_twice(study: Study) -> None:
    settings = study.catalog.objectives["sdclr"].settings
    assert settings["batch_size"]["for"]["imagenet_lt"] == {"official": 256, "paper": 512}
    lines = [line.split() for line in page(study, "sdclr").splitlines() if line.startswith("batch_size")]
    assert ["imagenet_lt", "{official:", "256,", "paper:", "512}"] in [line[1:6] for line in lines]


def test_a_name_of_a_paper_and_of_a_method_has_both_pages(study: Study) -> None:
    said = page(study, "conmix")
    assert said.startswith("ConMix (method conmix)")
    assert "(paper conmix)" in said
    assert "conmix_table2 " in said


def test_a_table_is_told_with_its_rows_and_command(study: Study) -> None:
    said = page(study, "conmix_table4")
    assert "computed by: snakemake --cores all conmix_table4" in said
    rows = {row["row"] for row in study.catalog.papers["conmix"]["tables"]["table4"]["rows"]}
    assert all(row in said for row in rows)


def test_an_unknown_name_is_answered_with_the_closest(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LongtailError, match="Did you mean 'conmix'"):
        page(study, "conmx")
    assert main(["info", "cifra10"]) == 1
    assert "Did you mean 'cifar10'" in capsys.readouterr().err
