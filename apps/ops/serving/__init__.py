"""Everything around a page: the server that buffers, and what each request passes before and after the program.

`apps.ops.web`, the settings of gunicorn, stands outside, because command lines name it.
"""
