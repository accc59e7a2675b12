"""What a plan costs: billing rules, spot interruptions, energy, calendar and scenarios, as values that add up.

Owns money, electricity and dates. Prices and rules arrive resolved (`domain.lookup.Machine`); hours arrive as
`segments.Segment`; where jobs run is `schedule/`.
"""
