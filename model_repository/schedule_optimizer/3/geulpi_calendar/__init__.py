"""What the calendar models compute outside their estimators; training and Triton run this code.

A published model carries a copy of the modules that it uses, so it needs numpy and what those
modules import, and nothing else of this project.
"""
