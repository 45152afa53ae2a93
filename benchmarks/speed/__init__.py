"""What flowsim costs: time and memory. Each table is written by one command.

__main__              `python -m benchmarks.speed`: training steps, against the published recurrence
training_steps        the steps that are timed, at a given size
published_recurrence  the network of the paper, plain, which is what speed is measured against
time_and_memory       median times, peak memory, and their ratios
shares_of_a_step      which part of a step convolutions, copies and the rest take
long_sequences        memory of a long rollout
figure_of_speed       the picture of the tables above
stimuli               `python -m benchmarks.speed.stimuli`: sequences a second
recording             `python -m benchmarks.speed.recording`: throughput and memory of recording
planning              `python -m benchmarks.speed.planning`: sweeps of up to 10,000 trainings
resources             `python -m benchmarks.speed.resources`: what jobs took of what they asked for
analyses              `python -m benchmarks.speed.analyses`: recordings of 2 to 20 GB
"""
