# Every paper, table and figure by its name: `snakemake --cores all conmix_table2`. Beside `plan` and `status`, these names
# and those of files stand for nothing but themselves.
for target, files in {**TARGETS, **{name: [] for name in LOOKED_AT if name not in NAMES}}.items():

    rule:
        name:
            target
        input:
            [] if LOOKING else files,
        localrule: True
