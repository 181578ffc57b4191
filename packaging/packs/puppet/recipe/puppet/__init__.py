"""Draws puppets and trains the models of the puppet pack on them. README.md, one folder up, is the guide."""
