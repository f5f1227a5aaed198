# What there is to do, how far it is, and where papers and codes part. The first two, and the page, have neither inputs nor
# outputs for Snakemake: they run whenever they are asked for and trigger nothing. `plan` and `status` (.md, .parquet) are
# written to the folder of the view beside what they print.


rule plan:
    log:
        layout.overview_log("plan", NAME),
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=overview_config,
        results=results_folder,
        out=moved(layout.plan(NAME)),
    shell:
        "python -m longtail plan --config {params.config:q} --results {params.results} --out {params.out} 2> {log}"


rule status:
    log:
        layout.overview_log("status", NAME),
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=overview_config,
        results=results_folder,
        out=moved(layout.status(NAME)),
    shell:
        "python -m longtail status --config {params.config:q} --results {params.results} --out {params.out} 2> {log}"


# All results as one page: of the targets beside it first, and of all else that is there. While a study runs, and when it
# ends, it is written without being asked for (hooks.smk).
rule page:
    log:
        layout.overview_log("page", NAME),
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=overview_config,
        results=results_folder,
    shell:
        "python -m longtail page --config {params.config:q} --results {params.results} 2> {log}"


# What is finished, kept in files that git may carry: of the targets beside it, or of all results.
rule record:
    log:
        layout.overview_log("record", NAME),
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=overview_config,
        results=results_folder,
        targets=lambda wildcards: " ".join(OVERVIEW) if LOOKED_AT else "",
    shell:
        "python -m longtail record {params.targets} --config {params.config:q} --results {params.results} 2>&1 | tee {log}"


CATALOG_FILES = [
    path for path in sorted(map(str, Path(ROOT, "catalog").rglob("*"))) if path.endswith((".yaml", ".csv"))
]


rule recorded:
    input:
        records=lambda wildcards: layout.records(RECORDS),
        catalog=CATALOG_FILES,
        source=[
            *TABLE_SOURCES,
            *sources_of("reproduction", "page", "compared", "drawings"),
            *sources_of("reporting/figures", "style", "panels", "pictures"),
            *sources_of("discrepancies", "points"),
        ],
        templates=expand(f"{ROOT}/longtail/reproduction/page.{{form}}.jinja", form=["md", "html"]),
    output:
        directory(f"{layout.view(layout.recorded_view(NAME))}/tables"),
        multiext(layout.reproduction(layout.recorded_view(NAME)), ".md", "-scatter.svg", "-curves.svg"),
        html=report(
            f"{layout.reproduction(layout.recorded_view(NAME))}.html",
            caption="../report/reproduction.rst",
            category="Records",
            labels={"page": "Recorded against printed"},
        ),
    log:
        layout.log("recorded", "recorded", NAME),
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        config=overview_config,
        results=results_folder,
    shell:
        "python -m longtail recorded --config {params.config:q} --results {params.results} > {log} 2>&1"


rule discrepancies:
    input:
        catalog=CATALOG_FILES,
        source=sources_of("discrepancies", "page", "points", "numbers", "contradictions", "statements"),
        markup=sources_of("reporting", "markup"),
        templates=expand(f"{ROOT}/longtail/discrepancies/page.{{form}}.jinja", form=["md", "html"]),
    output:
        f"{layout.DISCREPANCIES}.md",
        html=report(
            f"{layout.DISCREPANCIES}.html",
            caption="../report/discrepancies.rst",
            category="Discrepancies",
            labels={"page": "Papers and codes"},
        ),
    log:
        layout.log("discrepancies", "discrepancies"),
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        out=lambda wildcards, output: output.html.removesuffix(".html"),
    shell:
        "python -m longtail discrepancies --out {params.out} > {log} 2>&1"
