"""From a study's folder to a page, tables, figures, a finding and a recommendation.

Reads files; imports no torch.
"""
