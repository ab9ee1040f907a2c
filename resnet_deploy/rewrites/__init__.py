"""Edits that change what a graph takes, answers or is written in; passes never do.

Input formats, resizing in the graph, the head behind the logits, the operator set.
"""
