# What there is to do, how far it is, and where papers and codes part. The first two have neither inputs nor outputs for
# Snakemake: they run whenever they are asked for, trigger nothing, and write `plan` and `status` (.md, .parquet) to the
# folder of the view beside what they print.


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


rule discrepancies:
    input:
        catalog=[
            path for path in sorted(map(str, Path(ROOT, "catalog").rglob("*"))) if path.endswith((".yaml", ".csv"))
        ],
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
