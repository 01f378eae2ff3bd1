package dev.heddle.autograd;

import static dev.heddle.autograd.Functions.BACKWARDS;
import static dev.heddle.autograd.Functions.add;
import static dev.heddle.autograd.Functions.custom;
import static dev.heddle.autograd.Functions.multiply;
import static dev.heddle.autograd.Functions.sum;
import static dev.heddle.autograd.Functions.weigh;
import static dev.heddle.autograd.Recompute.recompute;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A backward pass in two halves leaves what one in one piece leaves. */
class DeferredGradientsTest extends DeviceTest {
  private static final long SEED = Long.getLong("heddle.seed", 20261125);
  private static final int SIZE = 3;

  @BeforeEach
  void forgetBackwards() {
    BACKWARDS.clear();
  }

  // ---- the same bits

  private record Trace(List<double[]> gradients, List<String> hooks) {}

  /**
   * Some microbatches of a random program on parameters and an input; in two halves, each second
   * half is run after a random number of first ones.
   */
  private Trace run(long seed, boolean halves) {
    Random random = new Random(seed);
    List<Tensor> leaves = new ArrayList<>();
    List<String> hooks = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      Tensor leaf = leaf(random.doubles(SIZE, -1, 1).toArray());
      String name = "leaf " + i + " ";
      leaf.onGradient(
          (tensor, gradient) -> hooks.add(name + Arrays.toString(gradient.toDoubles())));
      leaves.add(leaf);
    }
    Random delays = new Random(seed + 1);
    Queue<DeferredGradients> waiting = new ArrayDeque<>();
    int microBatches = 1 + random.nextInt(4);
    for (int m = 0; m < microBatches; m++) {
      Tensor x = leaf(random.doubles(SIZE, -1, 1).toArray());
      Tensor y = sum(program(random.nextLong(), x, leaves, 0));
      if (!halves) {
        y.backward();
        leaves.add(x);
        continue;
      }
      waiting.add(y.backwardInputs(List.of(x)));
      double[] gradient = gradient(x);
      while (!waiting.isEmpty() && delays.nextInt(3) > 0) {
        waiting.remove().run();
      }
      assertThat(gradient(x)).as("complete after the first half").isEqualTo(gradient);
      leaves.add(x);
    }
    waiting.forEach(DeferredGradients::run);
    return new Trace(
        leaves.stream().map(leaf -> leaf.gradient() == null ? null : gradient(leaf)).toList(),
        hooks);
  }

  /** Random operators on a growing list of tensors; the first four leaves are the parameters. */
  private static Tensor program(long seed, Tensor x, List<Tensor> leaves, int depth) {
    Random random = new Random(seed);
    List<Tensor> made = new ArrayList<>(List.of(x));
    for (int i = 0; i < 8; i++) {
      Tensor a = made.get(made.size() - 1 - random.nextInt(Math.min(3, made.size())));
      Tensor parameter = leaves.get(random.nextInt(4));
      long inner = random.nextLong();
      made.add(
          switch (random.nextInt(depth < 2 ? 7 : 6)) {
            case 0 -> add(a, made.get(random.nextInt(made.size())));
            case 1 -> add(a, parameter);
            case 2 -> multiply(a, parameter);
            case 3, 4 -> weigh(a, parameter);
            case 5 -> weigh(parameter, a);
            default -> recompute(input -> program(inner, input, leaves, depth + 1), a);
          });
    }
    return add(made.getLast(), x);
  }

  @Test
  void bothHalves_leaveTheBitsAndTheHooksOfOnePass() {
    for (int i = 0; i < 100; i++) {
      long seed = SEED + i;
      Trace whole = run(seed, false);
      Trace halves = run(seed, true);
      for (int k = 0; k < whole.gradients.size(); k++) {
        assertThat(halves.gradients.get(k))
            .as("leaf %d, seed %d", k, seed)
            .isEqualTo(whole.gradients.get(k));
      }
      assertThat(halves.hooks).as("hooks in order, seed %d", seed).isEqualTo(whole.hooks);
    }
  }

  @Test
  void sharedLeaf_addsUpInTheOrderOfTheOrdinaryWalk() {
    // 1e16 - 1e16 + 1, from the last summand to the first; the one that need not wait has to.
    for (boolean halves : new boolean[] {false, true}) {
      Tensor w = leaf(1);
      Tensor y =
          add(
              add(
                  multiply(Tensor.constant(vector(1)), w),
                  weigh(Tensor.constant(vector(-1e16)), w)),
              weigh(Tensor.constant(vector(1e16)), w));
      if (halves) {
        y.backwardInputs(List.of()).run();
      } else {
        y.backward();
      }
      assertThat(gradient(w)).as("1 - 1e16 + 1e16 were 0").containsExactly(1);
    }
  }

  @Test
  void microBatches_addUpInTheOrderOfTheSecondHalves() {
    Tensor w = leaf(1);
    DeferredGradients first = weigh(leaf(1e16), w).backwardInputs(List.of());
    DeferredGradients second = weigh(leaf(-1e16), w).backwardInputs(List.of());
    DeferredGradients third = multiply(leaf(1), w).backwardInputs(List.of());
    assertThat(w.gradient()).isNull();
    first.run();
    second.run();
    third.run();
    assertThat(gradient(w)).as("1 + 1e16 - 1e16 were 0").containsExactly(1);
  }

  @Test
  void leafItself_canBeTheRoot() {
    Tensor x = leaf(1, 2);
    DeferredGradients deferred = x.backwardInputs(vector(3, 4), List.of());
    assertThat(x.gradient()).isNull();
    deferred.run();
    assertThat(gradient(x)).containsExactly(3, 4);
  }

  // ---- what happens when

  @Test
  void firstHalf_computesWhatIsWaitedFor_andNoProductOfWeights() {
    Tensor x = leaf(2);
    Tensor w = leaf(3);
    Tensor norm = leaf(5);
    Tensor y = multiply(weigh(weigh(x, w), w), norm);
    DeferredGradients deferred = y.backwardInputs(List.of(x));
    assertThat(BACKWARDS).containsExactly("multiply", "weigh", "weigh");
    assertThat(gradient(x)).containsExactly(45);
    assertThat(norm.gradient()).as("known, but for the second half").isNull();
    assertThat(w.gradient()).isNull();
    BACKWARDS.clear();
    deferred.run();
    assertThat(BACKWARDS).containsExactly("weight", "weight");
    assertThat(gradient(w)).containsExactly(60);
    assertThat(gradient(norm)).containsExactly(18);
  }

  @Test
  void leafThatIsWaitedFor_isNotPutOff() {
    Tensor x = leaf(2);
    Tensor w = leaf(3);
    DeferredGradients deferred = weigh(w, x).backwardInputs(List.of(x));
    assertThat(gradient(x)).containsExactly(3);
    deferred.run();
    assertThat(gradient(w)).containsExactly(2);
  }

  @Test
  void hook_firesOnce_whenTheGradientIsComplete() {
    Tensor w = leaf(3);
    List<Double> seen = new ArrayList<>();
    w.onGradient((tensor, gradient) -> seen.add(gradient.toDoubles()[0]));
    DeferredGradients deferred = weigh(weigh(leaf(2), w), w).backwardInputs(List.of());
    assertThat(seen).isEmpty();
    deferred.run();
    assertThat(seen).containsExactly(12.0);
  }

  @Test
  void recomputedBlock_runsAgainInTheFirstHalf() {
    Tensor x = leaf(2);
    Tensor w = leaf(3);
    int[] calls = {0};
    Tensor y =
        recompute(
            input -> {
              calls[0]++;
              return weigh(multiply(input, input), w);
            },
            x);
    DeferredGradients deferred = y.backwardInputs(List.of(x));
    assertThat(calls[0]).isEqualTo(2);
    assertThat(gradient(x)).containsExactly(12);
    assertThat(w.gradient()).isNull();
    deferred.run();
    assertThat(calls[0]).isEqualTo(2);
    assertThat(gradient(w)).containsExactly(4);
  }

  @Test
  void hookThatGoesBackElsewhere_disturbsNeitherHalf() {
    Tensor w = leaf(3);
    Tensor other = leaf(7);
    other.onGradient(
        (tensor, gradient) -> {
          try (GradientMode on = GradientMode.enableGrad()) {
            weigh(Tensor.constant(vector(100)), w).backward();
          }
        });
    DeferredGradients deferred = multiply(weigh(leaf(2), w), other).backwardInputs(List.of());
    assertThat(w.gradient()).isNull();
    deferred.run();
    assertThat(gradient(w)).containsExactly(114);
  }

  // ---- memory

  @Test
  void betweenTheHalves_exactlyWhatTheProductsReadIsAlive() {
    Tensor x = leaf(new double[1000]);
    Tensor w = leaf(new double[1000]);
    long one = x.block().byteSize();
    int depth = 6;
    long before = liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      DeferredGradients deferred;
      try (MemoryScope inside = MemoryScope.temporaries()) {
        Tensor y = x;
        for (int i = 0; i < depth; i++) {
          y = multiply(weigh(y, w), y);
        }
        deferred = inside.keep(sum(y)).backwardInputs(List.of(x));
      }
      // An input and a gradient for each product; the first input is x itself; then dx, and 3
      // small ones.
      assertThat(liveBytes() - before).isBetween((2L * depth) * one, (2L * depth) * one + 3 * 256);
      device.memory().resetPeak();
      deferred.run();
      assertThat(device.memory().peakLiveBytes() - before)
          .as("the sum and one product more")
          .isLessThanOrEqualTo((2L * depth + 2) * one + 3 * 256);
      assertThat(liveBytes() - before).as("two gradients").isLessThan(2 * one + 3 * 256);
    }
    assertThat(liveBytes() - before).isEqualTo(2 * one);
  }

  @Test
  void failingFirstHalf_leavesNothingBehind() {
    Tensor w = leaf(new double[100]);
    long before = liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      Tensor failing =
          custom(
              multiply(leaf(new double[100]), w),
              dy -> {
                throw new IllegalStateException("no derivative today");
              });
      assertThatThrownBy(() -> sum(weigh(failing, w)).backwardInputs(List.of()))
          .hasMessage("no derivative today");
    }
    assertThat(liveBytes()).isEqualTo(before);
    sum(multiply(w, w)).backwardInputs(List.of()).run();
    assertThat(gradient(w)).containsOnly(0);
  }

  @Test
  void failingHook_endsTheSecondHalf() {
    Tensor w = leaf(new double[100]);
    Tensor v = leaf(new double[100]);
    w.onGradient(
        (tensor, gradient) -> {
          throw new IllegalStateException("hook");
        });
    long before = liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      DeferredGradients deferred =
          sum(weigh(weigh(leaf(new double[100]), v), w)).backwardInputs(List.of());
      assertThatThrownBy(deferred::run).hasMessage("hook");
      assertThatThrownBy(deferred::run).hasMessageContaining("it has run already");
    }
    assertThat(v.gradient()).isNull();
    assertThat(liveBytes() - before).as("the gradient of w").isEqualTo(w.block().byteSize());
  }

  // ---- refused

  @Test
  void runningTwice_isRefused() {
    DeferredGradients deferred = weigh(leaf(2), leaf(3)).backwardInputs(List.of());
    deferred.run();
    assertThatThrownBy(deferred::run)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("it has run already; the gradients would be added twice");
  }

  @Test
  void neverRunning_isRefusedWhenTheScopeCloses() {
    Tensor w = leaf(3);
    long before = liveBytes();
    MemoryScope step = MemoryScope.open();
    DeferredGradients deferred = weigh(leaf(2), w).backwardInputs(List.of());
    assertThatThrownBy(step::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("leaves that lost their gradients: 2; call run() first");
    assertThat(liveBytes()).isEqualTo(before);
    assertThatThrownBy(deferred::run)
        .hasMessageContaining("the scope of the first half has closed");
    multiply(w, w).backwardInputs(List.of(w));
    assertThat(gradient(w)).containsExactly(6);
  }

  @Test
  void graphOfTheFirstHalf_isReleased() {
    Tensor y = weigh(leaf(2), leaf(3));
    y.backwardInputs(List.of()).run();
    assertThatThrownBy(() -> y.backwardInputs(List.of()))
        .hasMessageContaining("was released by an earlier backward()");
  }

  @Test
  void valueChangedBetweenTheHalves_isNoticed() {
    Tensor x = leaf(2);
    DeferredGradients deferred = weigh(x, leaf(3)).backwardInputs(List.of(x));
    x.block().touch();
    assertThatThrownBy(deferred::run)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("backward of Weigh: the value")
        .hasMessageContaining("was changed in place");
  }

  @Test
  void waitingForWhatIsNoLeaf_isRefused() {
    Tensor x = leaf(2);
    Tensor y = multiply(x, x);
    assertThatThrownBy(() -> y.backwardInputs(List.of(y)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("the result of Multiply F64[1] is no leaf that requires a gradient");
  }

  /** What each way of walking leaves, and which of the node's functions it called. */
  private void walkAffine(
      boolean trainsBias, boolean inHalves, boolean namesBias, String... calls) {
    Tensor x = leaf(2);
    Tensor w = leaf(3);
    Tensor b = trainsBias ? leaf(5) : Tensor.constant(vector(5));
    Functions.BACKWARDS.clear();
    Tensor y = Functions.affine(x, w, b);
    if (inHalves) {
      y.backwardInputs(namesBias ? List.of(x, b) : List.of(x)).run();
    } else {
      y.backward(vector(1));
    }
    assertThat(Functions.BACKWARDS).containsExactly(calls);
    assertThat(gradient(x)).containsExactly(3);
    assertThat(gradient(w)).containsExactly(2);
    if (trainsBias) {
      assertThat(gradient(b)).containsExactly(1);
    }
  }

  @Test
  void gradientsThatGoTogether_areComputedAtOnceWhereBothAreWantedAtOneTime() {
    walkAffine(true, false, false, "affine", "weight and", "bias at once");
    walkAffine(true, true, false, "affine", "weight and", "bias at once");
    walkAffine(false, false, false, "affine", "weight");
    walkAffine(false, true, false, "affine", "weight");
    walkAffine(true, true, true, "affine", "bias", "weight");
  }

  @Test
  void leafOfTwoPairs_getsTheSumOfBothInTheOrderOfTheWalk() {
    Tensor x = leaf(2);
    Tensor w = leaf(3);
    Tensor b = leaf(5);
    // y = (x w + b) w + b: dw = x w + (x w + b), db = w + 1.
    Tensor y = Functions.affine(Functions.affine(x, w, b), w, b);
    y.backwardInputs(List.of(x)).run();
    assertThat(gradient(x)).containsExactly(9);
    assertThat(gradient(w)).containsExactly(17);
    assertThat(gradient(b)).containsExactly(4);
  }

  @Test
  void gradientsTogether_thatAreNotSaidOneByOne_areRefused() {
    NDArray one = vector(1);
    assertThatThrownBy(() -> Gradients.of(null, one).later(0, () -> one).together(0, 1, () -> null))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("inputs 0 and 1; wanted two in order");
  }

  @Test
  void gradientGivenNowAndLater_isRefused() {
    NDArray one = vector(1);
    assertThatThrownBy(() -> Gradients.of(one).later(0, () -> one))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("input 0 has a value already");
  }
}
