package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random programs full of branches and loops, whose threads go different ways: every thread must
 * end with what it computes when it is alone.
 */
class DivergenceTest {
  private static final int VARIABLES = 4;
  private static final int THREADS = 96;
  private static final int PROGRAMS = 40;

  /** A program as a tree, which can be run for one thread and written as PTX. */
  private interface Part {
    void run(int[] variables);

    void write(StringBuilder text, int[] labels);
  }

  private static Part assignment(SplittableRandom random) {
    int target = random.nextInt(VARIABLES);
    int left = random.nextInt(VARIABLES);
    int right = random.nextInt(VARIABLES);
    int constant = random.nextInt(1000);
    int kind = random.nextInt(4);
    return new Part() {
      @Override
      public void run(int[] v) {
        v[target] =
            switch (kind) {
              case 0 -> v[left] * 31 + v[right];
              case 1 -> v[left] ^ constant;
              case 2 -> v[left] + v[right] + constant;
              default -> (v[left] & v[right] & 31) == 5 ? v[left] >>> 3 : v[right] - constant;
            };
      }

      @Override
      public void write(StringBuilder text, int[] labels) {
        String d = "%r" + target;
        String a = "%r" + left;
        String b = "%r" + right;
        switch (kind) {
          case 0 -> text.append("mad.lo.s32 ").append(d + ", " + a + ", 31, " + b + ";\n");
          case 1 -> text.append("xor.b32 ").append(d + ", " + a + ", " + constant + ";\n");
          case 2 ->
              text.append("add.s32 %r9, " + a + ", " + b + ";\n")
                  .append("add.s32 " + d + ", %r9, " + constant + ";\n");
          default ->
              // Under predicates, without a branch.
              text.append("and.b32 %r9, " + a + ", " + b + "; and.b32 %r9, %r9, 31;\n")
                  .append("setp.eq.s32 %p1, %r9, 5;\n")
                  .append(
                      "shr.u32 %r10, " + a + ", 3; sub.s32 %r11, " + b + ", " + constant + ";\n")
                  .append("@%p1 mov.u32 " + d + ", %r10;\n@!%p1 mov.u32 " + d + ", %r11;\n");
        }
      }
    };
  }

  private static Part choice(SplittableRandom random, int depth) {
    int variable = random.nextInt(VARIABLES);
    int modulus = random.nextInt(1, 6);
    Part yes = block(random, depth - 1);
    Part no = block(random, depth - 1);
    boolean swapped = random.nextBoolean();
    return new Part() {
      @Override
      public void run(int[] v) {
        (Integer.remainderUnsigned(v[variable], modulus) == 0 ? yes : no).run(v);
      }

      @Override
      public void write(StringBuilder text, int[] labels) {
        int label = labels[0]++;
        text.append("rem.u32 %r9, %r" + variable + ", " + modulus + ";\n");
        text.append("setp.eq.s32 %p1, %r9, 0;\n");
        text.append((swapped ? "@%p1" : "@!%p1") + " bra $other" + label + ";\n");
        (swapped ? no : yes).write(text, labels);
        text.append("bra $end" + label + ";\n$other" + label + ":\n");
        (swapped ? yes : no).write(text, labels);
        text.append("$end" + label + ":\n");
      }
    };
  }

  private static Part loop(SplittableRandom random, int depth) {
    int variable = random.nextInt(VARIABLES);
    int most = random.nextInt(1, 7);
    Part body = block(random, depth - 1);
    int leave = random.nextInt(3, 40);
    return new Part() {
      @Override
      public void run(int[] v) {
        int count = Integer.remainderUnsigned(v[variable], most) + 1;
        do {
          body.run(v);
          if (Integer.remainderUnsigned(v[0], leave) == 1) {
            return;
          }
          count--;
        } while (count != 0);
      }

      @Override
      public void write(StringBuilder text, int[] labels) {
        int label = labels[0]++;
        String count = "%c" + label;
        text.append("rem.u32 " + count + ", %r" + variable + ", " + most + ";\n");
        text.append("add.s32 " + count + ", " + count + ", 1;\n$again" + label + ":\n");
        body.write(text, labels);
        text.append("rem.u32 %r9, %r0, " + leave + ";\nsetp.eq.s32 %p1, %r9, 1;\n");
        text.append("@%p1 bra $out" + label + ";\n");
        text.append("sub.s32 " + count + ", " + count + ", 1;\n");
        text.append("setp.ne.s32 %p2, " + count + ", 0;\n@%p2 bra $again" + label + ";\n");
        text.append("$out" + label + ":\n");
      }
    };
  }

  private static Part block(SplittableRandom random, int depth) {
    List<Part> parts = new ArrayList<>();
    int count = random.nextInt(1, 4);
    for (int i = 0; i < count; i++) {
      int kind = depth == 0 ? 0 : random.nextInt(3);
      parts.add(
          switch (kind) {
            case 0 -> assignment(random);
            case 1 -> choice(random, depth);
            default -> loop(random, depth);
          });
    }
    return new Part() {
      @Override
      public void run(int[] v) {
        parts.forEach(part -> part.run(v));
      }

      @Override
      public void write(StringBuilder text, int[] labels) {
        parts.forEach(part -> part.write(text, labels));
      }
    };
  }

  private static int[] initial(int thread) {
    return new int[] {thread * 7 + 1, thread ^ 21, thread * thread, 5 - thread};
  }

  private static String kernel(Part program, String end) {
    StringBuilder body = new StringBuilder();
    int[] labels = {0};
    program.write(body, labels);
    return """
    .visible .entry k(.param .u64 out) {
    .reg .pred %p<4>; .reg .b32 %r<16>; .reg .b32 %c<"""
        + (labels[0] + 1)
        + """
    >; .reg .b64 %d<4>;
    mov.u32 %r8, %tid.x; mul.lo.s32 %r0, %r8, 7; add.s32 %r0, %r0, 1; xor.b32 %r1, %r8, 21;
    mul.lo.s32 %r2, %r8, %r8; sub.s32 %r3, 5, %r8;
    """
        + body
        + end
        + """
    mul.wide.u32 %d1, %r8, 16; ld.param.u64 %d2, [out]; add.s64 %d2, %d2, %d1;
    st.global.v4.u32 [%d2], {%r0, %r1, %r2, %r3};
    ret; }
    """;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void threads_computeWhatTheyWouldAlone(int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    try (Device device = new Device()) {
      for (int n = 0; n < PROGRAMS; n++) {
        Part program = block(random, 3);
        long out = device.ints(4 * THREADS, i -> 0);
        Launch.Order order = Launch.Order.values()[n % 3];
        String text = kernel(program, "");
        device.run(
            text,
            Launch.of(1, THREADS, 0, Device.parameters(out))
                .with(Launch.Options.DEFAULT.withOrder(order, n)));
        int[] results = device.ints(out, 4 * THREADS);
        for (int thread = 0; thread < THREADS; thread++) {
          int[] v = initial(thread);
          program.run(v);
          for (int i = 0; i < VARIABLES; i++) {
            assertThat(results[4 * thread + i])
                .as("program %d, thread %d, variable %d of%n%s", n, thread, i, text)
                .isEqualTo(v[i]);
          }
        }
      }
    }
  }

  /** After whatever divergence, all lanes are together again: they shuffle and meet at barriers. */
  @ParameterizedTest
  @ValueSource(ints = {5, 6})
  void lanes_areTogetherAgainAfterwards(int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    String meet =
        "shfl.sync.bfly.b32 %r0, %r0, 1, 31, -1; bar.sync 0; vote.sync.ballot.b32 %r1, %p0, -1;\n";
    try (Device device = new Device()) {
      for (int n = 0; n < PROGRAMS; n++) {
        Part program = block(random, 3);
        long out = device.ints(4 * THREADS, i -> 0);
        String text = kernel(program, "setp.lt.s32 %p0, %r0, 0;\n" + meet);
        device.run(text, 1, THREADS, out);
        int[] results = device.ints(out, 4 * THREADS);
        for (int thread = 0; thread < THREADS; thread++) {
          int[] v = initial(thread ^ 1);
          program.run(v);
          assertThat(results[4 * thread]).isEqualTo(v[0]);
          int ballot = 0;
          for (int lane = 0; lane < 32; lane++) {
            int[] other = initial((thread & ~31) + lane);
            program.run(other);
            ballot |= other[0] < 0 ? 1 << lane : 0;
          }
          assertThat(results[4 * thread + 1]).isEqualTo(ballot);
        }
      }
    }
  }

  @Test
  void loopWhosePartsLieBehindEachOther_meetsAtItsShuffle() {
    // The shuffle is before the two ways that lead back to it: those who come first have to wait.
    String text =
        """
        .visible .entry k(.param .u64 out) {
        .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %d<4>;
        mov.u32 %r1, %tid.x; mov.u32 %r2, 0; mov.u32 %r3, %r1;
        $again:
        shfl.sync.bfly.b32 %r4, %r3, 1, 31, -1; add.s32 %r3, %r3, %r4;
        add.s32 %r2, %r2, 1; setp.ge.u32 %p1, %r2, 5; @%p1 bra $end;
        and.b32 %r5, %r1, 2; setp.ne.u32 %p2, %r5, 0; @%p2 bra $far;
        bra $again;
        $far: add.s32 %r3, %r3, 1; bra $again;
        $end:
        mul.wide.u32 %d1, %r1, 4; ld.param.u64 %d2, [out]; add.s64 %d2, %d2, %d1;
        st.global.u32 [%d2], %r3; ret; }
        """;
    try (Device device = new Device()) {
      long out = device.ints(32, i -> 0);
      device.run(text, 1, 32, out);
      int[] values = IntStream.range(0, 32).toArray();
      for (int round = 0; round < 5; round++) {
        int[] before = values.clone();
        for (int lane = 0; lane < 32; lane++) {
          values[lane] = before[lane] + before[lane ^ 1];
          values[lane] += round < 4 && (lane & 2) != 0 ? 1 : 0;
        }
      }
      assertThat(device.ints(out, 32)).isEqualTo(values);
    }
  }
}
