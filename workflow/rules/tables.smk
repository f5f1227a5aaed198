# From merged metrics to a paper's table, in every format people paste from.


TABLE = layout.table(NAME, "{paper}", "{table}")  # the page for people is the last of its formats


rule table:
    input:
        metrics=layout.merged(NAME, "{paper}", "{table}"),
        records=table_records,
        source=TABLE_SOURCES,
    output:
        TABLE[:-1],
        html=report(
            TABLE[-1],
            caption="../report/table.rst",
            category=paper_title,
            subcategory="Tables",
            labels=table_labels,
        ),
    log:
        layout.log("table", "{paper}-{table}", NAME),
    benchmark:
        layout.benchmark("table", "{paper}-{table}", NAME)
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        config=table_config,
        folder=lambda wildcards, output: str(Path(output.html).parent),
        records=records_folder,
    shell:
        "python -m longtail job table --paper {wildcards.paper} --table {wildcards.table} --config {params.config:q}"
        " --metrics {input.metrics} --records {params.records} --out-dir {params.folder} > {log} 2>&1"
