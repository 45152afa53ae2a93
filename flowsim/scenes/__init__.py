"""What stimuli are drawn with.

scene          truth first, frames rendered from it
canvas         moving and overlaying images
velocities     sets of velocities and headings
sequences      frames, labels and actions as tensors
strokes        drawn lines
human_body     stick figures and point lights
human_actions  how joints move in six actions
sources        digits, MNIST, KTH and folders of data
"""
