# conv0
load.memory address=76
load.destination address=0 space=0
load.length words=16
load
load.memory address=36
load.destination address=0 space=2
load.length words=4
load
load.destination address=0 space=1
load.length words=36
load signal=0
exec.source address=507
exec.origin x=-1 y=-1
exec.extent width=4 height=4
exec.step stride_x=1 stride_y=1 dilation_x=1 dilation_y=1
exec.reduction kernel_x=3 kernel_y=3 blocks=1
exec.pixels x=4 y=1
exec.padding value=-12
exec.weights tile=0
exec.delta_kernel_x address=1
exec.delta_kernel_y address=2
exec.delta_x address=-9
exec wait=0:1 signal=1 +half +output
exec signal=1 +output
vec.destination address=256
vec.group group=0
vec.pixels x=4 y=1
vec.parameters group=0
vec.clamp low=-60 high=100 dropped=0
vec.zero_point value=4
requantise wait=1:1 signal=2 +half
exec.source address=511
exec.origin x=-1 y=0
exec.weights tile=0
exec wait=2:1 signal=1 +half +output
vec.group group=1
requantise wait=1:1 signal=2
exec wait=2:1 signal=1 +output
vec.destination address=260
vec.group group=0
vec.parameters group=0
requantise wait=1:1 signal=2 +half
exec.source address=3
exec.origin x=-1 y=1
exec.weights tile=0
exec wait=2:1 signal=1 +half +output
vec.group group=1
requantise wait=1:1 signal=3 signal=2
store.memory address=92
store.source address=256
store.length words=8
store wait=3:1
exec wait=2:1 signal=1 +output
vec.destination address=16
vec.group group=0
vec.parameters group=0
requantise wait=1:1 signal=2 +half
exec.source address=7
exec.origin x=-1 y=2
exec.weights tile=0
exec wait=2:1 signal=1 +half +output
vec.group group=1
requantise wait=1:1 signal=2
exec wait=2:1 signal=1 +output
vec.destination address=20
vec.group group=0
vec.parameters group=0
requantise wait=1:1 +half
vec.group group=1
requantise wait=1:1 signal=3
store.source address=16
store wait=3:1
