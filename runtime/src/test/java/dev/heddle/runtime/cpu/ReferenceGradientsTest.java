package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.DType.F64;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** Every backward of the reference kernels against finite differences of its forward. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReferenceGradientsTest {
  private CpuDevice device;
  private FiniteDifferences differences;

  @BeforeAll
  void open() {
    device = CpuDevice.open("reference", 1, CpuBackend.REFERENCE);
    differences = new FiniteDifferences(device);
  }

  @AfterAll
  void close() {
    device.close();
  }

  private NDArray empty(long... dims) {
    return NDArray.empty(device, F64, dims);
  }

  private static NDArray like(NDArray x) {
    return NDArray.empty(x.device(), F64, x.shape());
  }

  @Test
  void unaryBackward_everyOperation_isTheSlope() {
    for (UnaryOperation op : UnaryOperation.values()) {
      differences.check(
          op.name(),
          (kernels, in) -> {
            NDArray y = like(in[0]);
            kernels.unary(op, in[0], y);
            return y;
          },
          (kernels, in, dy) -> {
            NDArray dx = like(in[0]);
            kernels.unaryBackward(op, in[0], dy, dx);
            return new NDArray[] {dx};
          },
          switch (op) {
            case LOG, SQRT, RECIPROCAL -> differences.positive(3, 7);
            default -> differences.normal(3, 7);
          });
    }
  }

  @Test
  void swigluBackward_bothInputs_isTheSlope() {
    differences.check(
        "swiglu",
        (kernels, in) -> {
          NDArray y = like(in[0]);
          kernels.swiglu(in[0], in[1], y);
          return y;
        },
        (kernels, in, dy) -> {
          NDArray dgate = like(in[0]);
          NDArray dup = like(in[1]);
          kernels.swigluBackward(in[0], in[1], dy, dgate, dup);
          return new NDArray[] {dgate, dup};
        },
        differences.normal(3, 5),
        differences.normal(3, 5));
  }

  @Test
  void softmaxBackward_rows_isTheSlope() {
    differences.check(
        "softmax",
        (kernels, in) -> {
          NDArray y = like(in[0]);
          kernels.softmax(in[0], y);
          return y;
        },
        (kernels, in, dy) -> {
          NDArray y = like(in[0]);
          kernels.softmax(in[0], y);
          NDArray dx = like(in[0]);
          kernels.softmaxBackward(y, dy, dx);
          return new NDArray[] {dx};
        },
        differences.normal(2, 3, 5));
  }

  @Test
  void layerNormBackward_allInputs_isTheSlope() {
    differences.check(
        "layerNorm",
        (kernels, in) -> {
          NDArray y = like(in[0]);
          kernels.layerNorm(in[0], in[1], in[2], 1e-5, y, empty(4), empty(4));
          return y;
        },
        (kernels, in, dy) -> {
          NDArray mean = empty(4);
          NDArray rstd = empty(4);
          kernels.layerNorm(in[0], in[1], in[2], 1e-5, like(in[0]), mean, rstd);
          NDArray[] gradients = {like(in[0]), like(in[1]), like(in[2])};
          kernels.layerNormBackward(
              in[0], in[1], mean, rstd, dy, gradients[0], gradients[1], gradients[2]);
          return gradients;
        },
        differences.normal(4, 6),
        differences.normal(6),
        differences.normal(6));
  }

  @Test
  void rmsNormBackward_bothInputs_isTheSlope() {
    differences.check(
        "rmsNorm",
        (kernels, in) -> {
          NDArray y = like(in[0]);
          kernels.rmsNorm(in[0], in[1], 1e-3, y, empty(4));
          return y;
        },
        (kernels, in, dy) -> {
          NDArray rstd = empty(4);
          kernels.rmsNorm(in[0], in[1], 1e-3, like(in[0]), rstd);
          NDArray[] gradients = {like(in[0]), like(in[1])};
          kernels.rmsNormBackward(in[0], in[1], rstd, dy, gradients[0], gradients[1]);
          return gradients;
        },
        differences.normal(4, 6),
        differences.normal(6));
  }

  @Test
  void rotaryInverse_isTheSlope() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray cos = empty(5, 3);
      NDArray sin = empty(5, 3);
      double[] angles = differences.normal(5, 3).values();
      cos.writeDoubles(Arrays.stream(angles).map(Math::cos).toArray());
      sin.writeDoubles(Arrays.stream(angles).map(Math::sin).toArray());
      differences.check(
          "rotary",
          (kernels, in) -> {
            NDArray y = like(in[0]);
            kernels.rotary(in[0], cos, sin, false, y);
            return y;
          },
          (kernels, in, dy) -> {
            NDArray dx = like(in[0]);
            kernels.rotary(dy, cos, sin, true, dx);
            return new NDArray[] {dx};
          },
          differences.normal(2, 5, 2, 6));
    }
  }

  @Test
  void attentionBackward_masksAndGroups_isTheSlope() {
    List<AttentionMask> masks =
        List.of(
            AttentionMask.FULL,
            AttentionMask.CAUSAL,
            new AttentionMask(true, 3, 0),
            new AttentionMask(true, 0, 2));
    for (AttentionMask mask : masks) {
      for (int keyHeads : new int[] {1, 2}) {
        differences.check(
            "attention " + mask + " key heads " + keyHeads,
            (kernels, in) -> attention(kernels, in, mask, empty(2, 2, 4)),
            (kernels, in, dy) -> {
              NDArray logSumExp = empty(2, 2, 4);
              NDArray out = attention(kernels, in, mask, logSumExp);
              NDArray[] gradients = {like(in[0]), like(in[1]), like(in[2])};
              kernels.attentionBackward(
                  in[0],
                  in[1],
                  in[2],
                  out,
                  logSumExp,
                  dy,
                  mask,
                  0.6,
                  gradients[0],
                  gradients[1],
                  gradients[2]);
              return gradients;
            },
            differences.normal(2, 4, 2, 3),
            differences.normal(2, 5, keyHeads, 3),
            differences.normal(2, 5, keyHeads, 3));
      }
    }
  }

  private static NDArray attention(
      Kernels kernels, NDArray[] in, AttentionMask mask, NDArray logSumExp) {
    NDArray out = like(in[0]);
    kernels.attention(in[0], in[1], in[2], mask, 0.6, out, logSumExp);
    return out;
  }

  @Test
  void crossEntropyBackward_withIgnoredRows_isTheSlope() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray targets = NDArray.of(device, Shape.of(4), 2L, -1, 0, 4);
      NDArray ones = NDArray.full(device, F64, Shape.of(4, 5), 1);
      differences.check(
          "crossEntropy",
          (kernels, in) -> {
            // The loss of each row: log-sum-exp minus the target's logit, 0 where ignored.
            NDArray logSumExp = empty(4);
            NDArray targetLogit = empty(4);
            kernels.crossEntropy(in[0], targets, 0, 5, logSumExp, targetLogit);
            double[] losses = logSumExp.toDoubles();
            double[] logits = targetLogit.toDoubles();
            double total = 0;
            for (int i = 0; i < 4; i++) {
              total += i == 1 ? 0 : losses[i] - logits[i];
            }
            return NDArray.of(device, F64, Shape.of(), total);
          },
          (kernels, in, dy) -> {
            NDArray logSumExp = empty(4);
            kernels.crossEntropy(in[0], targets, 0, 5, logSumExp, empty(4));
            NDArray dlogits = like(ones);
            kernels.crossEntropyBackward(in[0], targets, 0, logSumExp, dy, dlogits);
            return new NDArray[] {dlogits};
          },
          differences.normal(4, 5));
    }
  }

  @Test
  void dropout_isItsOwnBackward() {
    RandomKey key = RandomKey.of(3, "dropout");
    GlobalIndex index = GlobalIndex.whole(Shape.of(4, 9));
    differences.check(
        "dropout",
        (kernels, in) -> {
          NDArray y = like(in[0]);
          kernels.dropout(key, index, 0.3, in[0], y);
          return y;
        },
        (kernels, in, dy) -> {
          NDArray dx = like(in[0]);
          kernels.dropout(key, index, 0.3, dy, dx);
          return new NDArray[] {dx};
        },
        differences.normal(4, 9));
  }

  @Test
  void scatterAddRows_isTheBackwardOfGatherRows() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray rows = NDArray.of(device, Shape.of(5), 3, 0, -1, 3, 1);
      differences.check(
          "gatherRows",
          (kernels, in) -> {
            NDArray y = empty(5, 3);
            kernels.gatherRows(in[0], rows, y);
            return y;
          },
          (kernels, in, dy) -> {
            NDArray dx = NDArray.zeros(device, F64, in[0].shape());
            kernels.scatterAddRows(dy, rows, dx);
            return new NDArray[] {dx};
          },
          differences.normal(4, 3));
    }
  }

  @Test
  void sumTo_isTheBackwardOfBroadcasting() {
    for (long[] dims : new long[][] {{}, {5}, {1}, {3, 1}, {1, 5}, {2, 1, 5}, {2, 3, 5}}) {
      differences.check(
          "broadcast of " + Shape.of(dims),
          (kernels, in) -> in[0].expand(Shape.of(2, 3, 5)),
          (kernels, in, dy) -> {
            NDArray dx = like(in[0]);
            kernels.sumTo(dy, dx);
            return new NDArray[] {dx};
          },
          differences.normal(dims));
    }
  }
}
