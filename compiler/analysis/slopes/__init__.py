"""How fast expressions change: enclosures of derivatives, searched over whole domains.

`tape` turns an expression into scalar steps over coordinates (continuous variables and statistics
of a law), `atoms` has one row per operator, `forward` carries enclosures of values and directional
derivatives along a tape, `search` splits boxes until a bound is sharp, `secants` attains it from
below with points that can be evaluated again.
"""
