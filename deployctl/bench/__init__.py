"""What a running stack achieves: the load, the figures it gives, and what they mean. Pure.

Times are seconds, rates tokens per second, sizes bytes. Everything here was measured unless its
name or its text says otherwise.
"""
