"""Progress bars: one print of a bar (`bar.py`), a bar as it goes on (`followed.py`), which of them is the training's
(`choice.py`), and what else than steps they count (`counts.py`).
"""
