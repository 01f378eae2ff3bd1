// The end of a training step, without the host. The numbers' places are those of StepControl in Java.
#include "heddle.cuh"

const int LOSS = 0;
const int TOKENS = 1;
const int SQUARES = 2;
const int CLIP_NORM = 3;
const int PATIENCE = 4;
const int FIRST_RATE = 5;

const int SCALE = 0;
const int FINITE_STEPS = 1;
const int MEAN_LOSS = 2;
const int VALID_TOKENS = 3;
const int NORM = 4;
const int IS_FINITE = 5;
const int FIRST_UPDATE = 6;

const double SMALLEST_SCALE = 0x1p-40;
const double LARGEST_SCALE = 0x1p40;

// The numbers of one optimizer's update.
struct Update {
  double go;
  double rate;
  double step;
  double gradientScale;
};

__device__ __forceinline__ bool isFinite(double x) { return x - x == 0; }

// One thread. As StepControl.conclude, operation by operation, so with the same bits.
ENTRY heddle_step_conclude(const double* control, double* state, int optimizers) {
  double count = control[TOKENS] > 1 ? control[TOKENS] : 1;
  double scale = 1 / (count * state[SCALE]);
  double norm = sqrt(control[SQUARES]) * scale;
  bool finite = isFinite(norm) && isFinite(control[LOSS]);
  double clip = norm > control[CLIP_NORM] ? control[CLIP_NORM] / norm : 1;
  state[MEAN_LOSS] = control[LOSS] / count;
  state[VALID_TOKENS] = control[TOKENS];
  state[NORM] = norm;
  state[IS_FINITE] = finite ? 1 : 0;
  Update* updates = reinterpret_cast<Update*>(state + FIRST_UPDATE);
#pragma unroll 1
  for (int i = 0; i < optimizers; i++) {
    updates[i].go = finite ? 1 : 0;
    updates[i].rate = control[FIRST_RATE + i];
    updates[i].step += finite ? 1 : 0;
    updates[i].gradientScale = clip * scale;
  }
  if (control[PATIENCE] > 0) {
    double steps = finite ? state[FINITE_STEPS] + 1 : 0;
    if (!finite) {
      double half = state[SCALE] / 2;
      state[SCALE] = half > SMALLEST_SCALE ? half : SMALLEST_SCALE;
    } else if (steps == control[PATIENCE]) {
      double twice = state[SCALE] * 2;
      state[SCALE] = twice < LARGEST_SCALE ? twice : LARGEST_SCALE;
      steps = 0;
    }
    state[FINITE_STEPS] = steps;
  }
}
