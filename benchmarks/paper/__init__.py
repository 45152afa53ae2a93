"""The paper's tables, with our numbers beside the published ones.

__main__        `python -m benchmarks.paper`: collect what experiments left, write table and page
collect         numbers out of the results of an experiment
verdicts        every published number and statement against what was measured
page            the page, from the table
paper.md.j2     its template
published.yaml  what was published
"""
