"""The networks: one file each, with ``build(frame_shape, **spec) -> Network``."""
