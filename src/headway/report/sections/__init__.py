"""Parts of the estimate's page, one file each: `parts(answer, detail)` gives sections, none with nothing to say.

Owns the words and tables of the estimate. How they are laid out is `report/render/`.
"""
