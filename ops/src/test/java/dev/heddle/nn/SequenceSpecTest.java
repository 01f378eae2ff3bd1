package dev.heddle.nn;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class SequenceSpecTest {
  @Test
  void positions_areKnownByTheirDocument() {
    SequenceSpec packed = SequenceSpec.packed(3, 0, 1, 4);
    assertThat(packed.length()).isEqualTo(8);
    assertThat(packed.documentCount()).isEqualTo(3);
    assertThat(packed.positions()).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
    assertThat(packed.documentPositions(packed.positions()))
        .containsExactly(0, 1, 2, 0, 0, 1, 2, 3);
    assertThat(packed.documentOf(2)).isZero();
    assertThat(packed.documentOf(3)).isEqualTo(1);
    assertThat(packed.documentOf(7)).isEqualTo(2);
    assertThat(packed.documentEnd(2)).isEqualTo(8);
  }

  @Test
  void lanes_areOneDocumentEach() {
    SequenceSpec lanes = SequenceSpec.of(3, 5);
    assertThat(lanes.documentCount()).isEqualTo(1);
    assertThat(lanes.documentPositions(0, 4)).containsExactly(0, 4);
    assertThat(lanes).isEqualTo(SequenceSpec.of(3, 5)).isNotEqualTo(SequenceSpec.packed(5));
  }
}
