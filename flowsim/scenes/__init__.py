"""What stimuli are drawn with.

scene          the truth about trials, and a dataset whose frames are rendered from it
from_frames    a stimulus from arrays, movies or folders of one's own
canvas         put images and dots on frames, move, turn and overlay them
gratings       drifting gratings and plaids
control        the same trials with motion taken out of them
velocities     which velocities a file visits and which are trained
frame_values   luminance in [0, 1] from frames of any real type
sequences      frames, labels and observer's actions as tensors
strokes        lines with round ends
human_body     where the joints of 25 persons are
human_actions  how joints move in six actions
sources        digits, MNIST, KTH's videos, one's own movies, and folders of data
"""
