# From merged metrics to a paper's figure, with the numbers it was drawn from.


FIGURE = layout.figure(NAME, "{paper}", "{figure}")  # the picture for the screen is the last of its formats


rule figure:
    input:
        metrics=layout.merged(NAME, "{paper}", "{figure}"),
        source=sorted(map(str, Path(ROOT, "longtail/reporting/figures").glob("*.py"))),
    output:
        FIGURE[:-1],
        png=report(
            FIGURE[-1],
            caption="../report/figure.rst",
            category=paper_title,
            subcategory="Figures",
            labels=figure_labels,
        ),
    log:
        layout.log("figure", "{paper}-{figure}", NAME),
    benchmark:
        layout.benchmark("figure", "{paper}-{figure}", NAME)
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        config=figure_config,
        folder=lambda wildcards, output: str(Path(output.png).parent),
    shell:
        "python -m longtail job figure --paper {wildcards.paper} --figure {wildcards.figure} --config {params.config:q}"
        " --metrics {input.metrics} --out-dir {params.folder} > {log} 2>&1"
