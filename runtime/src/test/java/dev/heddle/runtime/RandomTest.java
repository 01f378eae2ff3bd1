package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class RandomTest {
  private static int[] block(long seed, long stream, long counter) {
    int[] words = new int[4];
    Random.block(new RandomKey(seed, stream), counter, words);
    return words;
  }

  /** philox4x32-10 of kat_vectors in the authors' Random123. */
  @Test
  void block_knownAnswerVectors_match() {
    assertThat(block(0, 0, 0)).containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    assertThat(block(-1, -1, -1)).containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    assertThat(block(0x299f31d0a4093822L, 0x0370734413198a2eL, 0x85a308d3243f6a88L))
        .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
  }

  @Test
  void bits_element_isAWordOfItsBlock() {
    RandomKey key = RandomKey.of(5, "stream");
    for (long index : new long[] {0, 1, 2, 3, 4, 1001, (1L << 34) + 2}) {
      int[] words = block(key.seed(), key.stream(), index / 4);
      assertThat(Random.bits(key, index)).isEqualTo(words[(int) (index % 4)]);
    }
  }

  @Test
  void uniform_extremeBits_stayInHalfOpenInterval() {
    assertThat(Random.uniform(0)).isZero();
    assertThat(Random.uniform(-1)).isEqualTo(1 - 0x1p-24f);
    assertThat(Random.uniform(Integer.MIN_VALUE)).isEqualTo(0.5f);
  }

  @Test
  void normal_extremeBits_areFinite() {
    assertThat(Random.normal(0, 0, true)).isCloseTo(Math.sqrt(64 * Math.log(2)), within(1e-12));
    assertThat(Random.normal(-1, 0, true)).isZero();
    assertThat(Random.normal(0, 1 << 30, false))
        .isCloseTo(Math.sqrt(64 * Math.log(2)), within(1e-12));
  }

  @Test
  void streams_moments_areThoseOfTheirDistribution() {
    RandomKey key = RandomKey.of(1, "moments");
    int count = 200_000;
    double uniformMean = 0;
    double normalMean = 0;
    double normalSquare = 0;
    double normalFourth = 0;
    double neighbours = 0;
    double previous = 0;
    for (int i = 0; i < count; i++) {
      uniformMean += Random.uniform(key, i) / count;
      double n = Random.normal(key, i);
      normalMean += n / count;
      normalSquare += n * n / count;
      normalFourth += n * n * n * n / count;
      neighbours += n * previous / count;
      previous = n;
    }
    // Five standard errors each.
    assertThat(uniformMean).isCloseTo(0.5, within(5 * 0.2887 / Math.sqrt(count)));
    assertThat(normalMean).isCloseTo(0, within(5 / Math.sqrt(count)));
    assertThat(normalSquare).isCloseTo(1, within(5 * 1.415 / Math.sqrt(count)));
    assertThat(normalFourth).isCloseTo(3, within(5 * 9.8 / Math.sqrt(count)));
    assertThat(neighbours).isCloseTo(0, within(5 / Math.sqrt(count)));
  }

  @Test
  void keys_ofSimilarNamesSeedsAndNumbers_giveUnrelatedStreams() {
    Set<Integer> first = new HashSet<>();
    int drawn = 0;
    for (long seed = 0; seed < 4; seed++) {
      for (int block = 0; block < 50; block++) {
        RandomKey key = RandomKey.of(seed, "language.block" + block + ".weight");
        for (int number = 0; number < 5; number++) {
          first.add(Random.bits(key.with(number), 0));
          drawn++;
        }
      }
    }
    // Among 1000 draws of 32 bits even one equal pair is unlikely.
    assertThat(first.size()).isGreaterThanOrEqualTo(drawn - 1);
    assertThat(RandomKey.of(1, "a")).isEqualTo(RandomKey.of(1, "a"));
    assertThat(RandomKey.of(1, "a")).isNotEqualTo(RandomKey.of(2, "a"));
  }

  @Test
  void globalIndex_shard_continuesTheWhole() {
    Shape whole = Shape.of(4, 6, 5);
    assertThat(GlobalIndex.whole(whole)).isEqualTo(new GlobalIndex(0, 30, 5, 1));
    assertThat(GlobalIndex.shard(whole, 1, 2)).isEqualTo(new GlobalIndex(10, 30, 5, 1));
    assertThat(GlobalIndex.shard(whole, -1, 3)).isEqualTo(new GlobalIndex(3, 30, 5, 1));
    assertThat(GlobalIndex.shard(whole, 0, 1)).hasSameHashCodeAs(new GlobalIndex(30, 30, 5, 1));
  }
}
