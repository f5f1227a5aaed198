# Every paper, table and figure by its name: `snakemake --cores all conmix_table2`.
for target, files in TARGETS.items():

    rule:
        name:
            target
        input:
            files,
        localrule: True
