"""The paper's tables and figures: which networks they are of, their training, and the report.

`plan` reads the configuration, `job` trains and evaluates, `report` puts the numbers beside the
paper's and writes them as a page and as Markdown; `figures` draws. It may import everything below.
"""
