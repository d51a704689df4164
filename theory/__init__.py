"""The derivations behind bogc, written down in chapters and checked by machine."""
