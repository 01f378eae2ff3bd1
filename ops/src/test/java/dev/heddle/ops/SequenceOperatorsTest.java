package dev.heddle.ops;

import static dev.heddle.ops.GradientCheck.check;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Operators on sequences of documents and on some positions of a sequence. */
class SequenceOperatorsTest extends DeviceTest {
  private static final long[] STARTS = {0, 2, 3};
  private static final long[] ENDS = {2, 3, 7};

  @Test
  void packedDocuments_areAttendedToOneByOne() {
    NDArray qkv = values(2, 7, 4, 4);
    RotaryTable table = RotaryTable.at(device, DType.F64, new long[] {0, 1, 0, 0, 1, 2, 3}, 4, 50);
    for (AttentionMask mask : List.of(AttentionMask.FULL, AttentionMask.CAUSAL)) {
      NDArray plain = documents(qkv, mask, null);
      NDArray rotated = documents(qkv, mask, table);
      for (int i = 0; i < STARTS.length; i++) {
        NDArray document = qkv.slice(1, STARTS[i], ENDS[i]);
        long length = ENDS[i] - STARTS[i];
        RotaryTable own = RotaryTable.of(device, DType.F64, 0, length, 4, 50);
        assertThat(plain.slice(1, STARTS[i], ENDS[i]).toDoubles())
            .containsExactly(
                Attention.packed(Tensor.constant(document.copy()), 2, mask, 0.5)
                    .value()
                    .toDoubles(),
                within(1e-14));
        assertThat(rotated.slice(1, STARTS[i], ENDS[i]).toDoubles())
            .containsExactly(
                Attention.packedRotary(Tensor.constant(document.copy()), 2, mask, 0.5, own)
                    .value()
                    .toDoubles(),
                within(1e-14));
      }
    }
  }

  private static NDArray documents(NDArray qkv, AttentionMask mask, @Nullable RotaryTable table) {
    Tensor x = Tensor.constant(qkv.copy());
    return Attention.packedDocuments(x, 2, mask, 0.5, table, STARTS).value();
  }

  @Test
  void packedDocuments_haveTheirGradient() {
    for (AttentionMask mask : List.of(AttentionMask.FULL, AttentionMask.CAUSAL)) {
      check(x -> Attention.packedDocuments(x[0], 2, mask, 0.5, null, STARTS), values(1, 7, 4, 2));
    }
  }

  @Test
  void rotaryOfFirst_rotatesTheFirstHeadsOnly_forwardAndBackward() {
    NDArray x = values(2, 3, 5, 4);
    RotaryTable table = RotaryTable.of(device, DType.F64, 4, 3, 4, 50);
    NDArray y = Rotary.rotaryOfFirst(Tensor.leaf(x), 3, table).value();
    assertThat(y.slice(2, 0, 3).toDoubles())
        .containsExactly(
            Rotary.rotary(Tensor.constant(x.slice(2, 0, 3)), table).value().toDoubles());
    assertThat(y.slice(2, 3, 5).toDoubles()).containsExactly(x.slice(2, 3, 5).toDoubles());
    check(v -> Rotary.rotaryOfFirst(Scale.scale(v[0], 1.5), 3, table), x);
  }

  @Test
  void dropout_ofSomePositions_dropsWhatItDropsOfTheWhole() {
    NDArray whole = values(2, 9, 5);
    RandomKey key = RandomKey.of(3, "positions");
    GlobalIndex index = new GlobalIndex(1000, 90, 7, 1);
    NDArray dropped = Dropout.dropout(Tensor.constant(whole), 0.5, key, index).value();
    long[] positions = {1, 2, 4, 8};
    Tensor part = Tensor.leaf(at(whole, positions));
    Tensor y = Dropout.dropout(part, 0.5, key, index, positions);
    assertThat(y.value().toDoubles()).containsExactly(at(dropped, positions).toDoubles());
    y.backward(part.value());
    assertThat(part.gradientOrZeros().toDoubles()).containsExactly(y.value().toDoubles());
  }

  private static NDArray at(NDArray x, long[] positions) {
    NDArray y = NDArray.empty(x.device(), x.dtype(), x.shape().with(1, positions.length));
    for (int i = 0; i < positions.length; i++) {
      y.kernels().copy(x.slice(1, positions[i], positions[i] + 1), y.slice(1, i, i + 1));
    }
    return y;
  }

  @Test
  void misuse_isRefused() {
    Tensor x = Tensor.leaf(values(1, 7, 4, 2));
    assertThatThrownBy(() -> Attention.packedDocuments(x, 2, AttentionMask.FULL, 1, null, 0, 5, 3))
        .hasMessageContaining("documents start at [0, 5, 3]; wanted 0 first, then ascending");
    assertThatThrownBy(() -> Attention.packedDocuments(x, 2, AttentionMask.FULL, 1, null, 0, 8))
        .hasMessageContaining("ascending positions of the 7 of qkv");
    Tensor rows = Tensor.leaf(values(1, 3, 2));
    GlobalIndex index = GlobalIndex.whole(rows.shape());
    assertThatThrownBy(() -> Dropout.dropout(rows, 0.5, RandomKey.of(1, "x"), index, 0, 1))
        .hasMessageContaining("wanted [B,2,C] for 2 positions");
  }
}
