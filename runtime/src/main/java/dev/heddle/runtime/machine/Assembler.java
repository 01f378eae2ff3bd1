package dev.heddle.runtime.machine;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Writes x86-64 machine code: the whole-number instructions that a loop over memory needs, and
 * those of AVX-512 that a kernel does its work with. Instructions have the names and the order of
 * operands that the processor's manual gives them, the target first (Intel 64 and IA-32
 * Architectures Software Developer's Manual, volume 2; the encodings are those of its chapters 2.7
 * and 3 to 5).
 *
 * <p>General registers are numbered as the processor does, {@link #RAX} to {@link #R15}; vector
 * registers 0 to 31. A {@link Memory} operand is read or written with full vectors of 512 bits
 * unless the instruction's name says otherwise.
 */
public final class Assembler {
  public static final int RAX = 0;
  public static final int RCX = 1;
  public static final int RDX = 2;
  public static final int RBX = 3;
  public static final int RSP = 4;
  public static final int RBP = 5;
  public static final int RSI = 6;
  public static final int RDI = 7;
  public static final int R8 = 8;
  public static final int R9 = 9;
  public static final int R10 = 10;
  public static final int R11 = 11;
  public static final int R12 = 12;
  public static final int R13 = 13;
  public static final int R14 = 14;
  public static final int R15 = 15;

  private static final int NO_INDEX = -1;

  // Parts of an EVEX prefix: which opcode table, and which byte the older prefix would have been.
  private static final int MAP_0F = 1;
  private static final int MAP_0F38 = 2;
  private static final int MAP_0F3A = 3;
  private static final int PREFIX_NONE = 0;
  private static final int PREFIX_66 = 1;
  private static final int PREFIX_F3 = 2;
  private static final int PREFIX_F2 = 3;

  private static final int ZMM_BYTES = 64;
  private static final int YMM_BYTES = 32;
  private static final int WORD_BYTES = 4;

  /** Memory at base + index × scale + displacement. */
  public record Memory(int base, int index, int scale, int displacement) {
    /**
     * Checks what cannot be encoded.
     *
     * @throws IllegalArgumentException if scale is not 1, 2, 4 or 8, or the index is {@link #RSP}
     */
    public Memory {
      if (scale != 1 && scale != 2 && scale != 4 && scale != 8) {
        throw new IllegalArgumentException("Assembler: scale " + scale + ", not 1, 2, 4 or 8");
      }
      if (index == RSP) {
        throw new IllegalArgumentException("Assembler: RSP cannot be an index");
      }
    }

    /** Memory at a register and a distance from it. */
    public static Memory at(int base, int displacement) {
      return new Memory(base, NO_INDEX, 1, displacement);
    }

    /** Memory at base + index × scale. */
    public static Memory indexed(int base, int index, int scale) {
      return new Memory(base, index, scale, 0);
    }
  }

  /** A place in the code, to jump to. */
  public static final class Label {
    private int position = -1;
    private final List<Integer> uses = new ArrayList<>();

    private Label() {}
  }

  /** The shape of a vector instruction, all but its operands. */
  private record Vector(int map, int prefix, int opcode, boolean wide, int bytes, int memoryBytes) {
    static Vector of512(int map, int prefix, int opcode) {
      return new Vector(map, prefix, opcode, false, ZMM_BYTES, ZMM_BYTES);
    }
  }

  private static final Vector MOVUPS_LOAD = Vector.of512(MAP_0F, PREFIX_NONE, 0x10);
  private static final Vector MOVUPS_STORE = Vector.of512(MAP_0F, PREFIX_NONE, 0x11);
  private static final Vector PXORD = Vector.of512(MAP_0F, PREFIX_66, 0xEF);
  private static final Vector FMADD231PS = Vector.of512(MAP_0F38, PREFIX_66, 0xB8);
  private static final Vector DPBF16PS = Vector.of512(MAP_0F38, PREFIX_F3, 0x52);
  private static final Vector CVTNEPS2BF16 = Vector.of512(MAP_0F38, PREFIX_F3, 0x72);
  private static final Vector PORD = Vector.of512(MAP_0F, PREFIX_66, 0xEB);
  private static final Vector PSLLD = Vector.of512(MAP_0F, PREFIX_66, 0x72);
  private static final Vector PAND = Vector.of512(MAP_0F, PREFIX_66, 0xDB);
  private static final Vector PADDD = Vector.of512(MAP_0F, PREFIX_66, 0xFE);
  private static final Vector MOVAPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x28);
  private static final Vector MAXPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x5F);
  private static final Vector PERMILPS = Vector.of512(MAP_0F3A, PREFIX_66, 0x04);
  private static final Vector ADDPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x58);
  private static final Vector SUBPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x5C);
  private static final Vector MULPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x59);
  private static final Vector DIVPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x5E);
  private static final Vector SQRTPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x51);
  private static final Vector FMADD213PS = Vector.of512(MAP_0F38, PREFIX_66, 0xA8);
  private static final Vector CMPPS = Vector.of512(MAP_0F, PREFIX_NONE, 0xC2);
  private static final Vector PTERNLOGD = Vector.of512(MAP_0F3A, PREFIX_66, 0x25);
  private static final Vector PERMI2PS = Vector.of512(MAP_0F38, PREFIX_66, 0x77);
  private static final Vector BLENDMPS = Vector.of512(MAP_0F38, PREFIX_66, 0x65);
  private static final Vector PMOVDW =
      new Vector(MAP_0F38, PREFIX_F3, 0x33, false, ZMM_BYTES, YMM_BYTES);
  private static final Vector PMOVZXWD =
      new Vector(MAP_0F38, PREFIX_66, 0x33, false, ZMM_BYTES, YMM_BYTES);
  private static final Vector UNPCKLPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x14);
  private static final Vector UNPCKHPS = Vector.of512(MAP_0F, PREFIX_NONE, 0x15);
  private static final Vector UNPCKLPD =
      new Vector(MAP_0F, PREFIX_66, 0x14, true, ZMM_BYTES, ZMM_BYTES);
  private static final Vector UNPCKHPD =
      new Vector(MAP_0F, PREFIX_66, 0x15, true, ZMM_BYTES, ZMM_BYTES);
  private static final Vector SHUFF32X4 = Vector.of512(MAP_0F3A, PREFIX_66, 0x23);
  private static final Vector BROADCASTD =
      new Vector(MAP_0F38, PREFIX_66, 0x58, false, ZMM_BYTES, WORD_BYTES);
  private static final Vector MOVDQU16_STORE_YMM =
      new Vector(MAP_0F, PREFIX_F2, 0x7F, true, YMM_BYTES, YMM_BYTES);

  private byte[] code = new byte[1024];
  private int size;

  /** The code so far. */
  public byte[] toBytes() {
    return Arrays.copyOf(code, size);
  }

  /** Bytes written so far: where the next instruction will be. */
  public int position() {
    return size;
  }

  /** Fills up with instructions that do nothing, until the position is a multiple. */
  public void align(int multiple) {
    while (size % multiple != 0) {
      emit(0x90);
    }
  }

  // ---- jumps

  /** A label that is bound later. */
  public Label newLabel() {
    return new Label();
  }

  /** A label here. */
  public Label here() {
    Label label = new Label();
    bind(label);
    return label;
  }

  /**
   * Puts a label here.
   *
   * @throws IllegalStateException if it is somewhere already
   */
  public void bind(Label label) {
    if (label.position >= 0) {
      throw new IllegalStateException("Assembler: the label is bound already");
    }
    label.position = size;
    for (int use : label.uses) {
      setInt(use, size - use - Integer.BYTES);
    }
    label.uses.clear();
  }

  /** Jumps if the last result was not zero. */
  public void jnz(Label label) {
    emit(0x0F, 0x85);
    use(label);
  }

  /** Jumps if the last result was zero. */
  public void jz(Label label) {
    emit(0x0F, 0x84);
    use(label);
  }

  /** Jumps. */
  public void jmp(Label label) {
    emit(0xE9);
    use(label);
  }

  private void use(Label label) {
    if (label.position >= 0) {
      emitInt(label.position - size - Integer.BYTES);
    } else {
      label.uses.add(size);
      emitInt(0);
    }
  }

  // ---- general registers, 64 bits

  /** target = source. */
  public void mov(int target, int source) {
    general(0x89, source, target);
  }

  /** target = memory. */
  public void mov(int target, Memory from) {
    general(0x8B, target, from);
  }

  /** memory = source. */
  public void mov(Memory to, int source) {
    general(0x89, source, to);
  }

  /** target = 0. */
  public void clear(int target) {
    general(0x31, target, target);
  }

  /** target = the address of memory. */
  public void lea(int target, Memory from) {
    general(0x8D, target, from);
  }

  /** target += source. */
  public void add(int target, int source) {
    general(0x01, source, target);
  }

  /** target += memory. */
  public void add(int target, Memory from) {
    general(0x03, target, from);
  }

  /** target += a constant. */
  public void addConstant(int target, int constant) {
    general(0x81, 0, target);
    emitInt(constant);
  }

  /** target -= 1; tells {@link #jnz} about it. */
  public void dec(int target) {
    general(0xFF, 1, target);
  }

  /** Tells {@link #jz} and {@link #jnz} whether a register is zero. */
  public void test(int register) {
    general(0x85, register, register);
  }

  /** Has memory that will be written brought into the cache; any address will do. */
  public void prefetchw(Memory memory) {
    prefetch(0x0D, memory);
  }

  /** Has memory that will be read brought into the cache; any address will do. */
  public void prefetcht0(Memory memory) {
    prefetch(0x18, memory);
  }

  private void prefetch(int opcode, Memory memory) {
    int index = memory.index == NO_INDEX ? 0 : bit(memory.index, 3);
    int extension = index << 1 | bit(memory.base, 3);
    if (extension != 0) {
      emit(0x40 | extension);
    }
    emit(0x0F, opcode);
    address(1, memory, 1);
  }

  public void push(int register) {
    extended(register);
    emit(0x50 | register & 7);
  }

  public void pop(int register) {
    extended(register);
    emit(0x58 | register & 7);
  }

  /** Returns to the caller. */
  public void ret() {
    emit(0xC3);
  }

  /** EAX, EBX, ECX and EDX tell about the processor; see {@link Processor}. */
  public void cpuid() {
    emit(0x0F, 0xA2);
  }

  /** EDX and EAX become the control register with the number in ECX. */
  public void xgetbv() {
    emit(0x0F, 0x01, 0xD0);
  }

  private void extended(int register) {
    if (register >= 8) {
      emit(0x41);
    }
  }

  private void general(int opcode, int register, int other) {
    emit(0x48 | bit(register, 3) << 2 | bit(other, 3), opcode);
    emit(0xC0 | (register & 7) << 3 | other & 7);
  }

  private void general(int opcode, int register, Memory memory) {
    int index = memory.index == NO_INDEX ? 0 : bit(memory.index, 3);
    emit(0x48 | bit(register, 3) << 2 | index << 1 | bit(memory.base, 3), opcode);
    address(register, memory, 1);
  }

  // ---- AVX-512

  /** Mask register {@code mask} becomes the lower 16 bits of a general one. */
  public void kmovw(int mask, int source) {
    // A VEX prefix of three bytes, which reaches the upper general registers too.
    emit(0xC4, 0xC1 | (bit(source, 3) ^ 1) << 5, 0x78, 0x92);
    emit(0xC0 | mask << 3 | source & 7);
  }

  /** The upper parts of all vector registers become zero, which other code wants. */
  public void vzeroupper() {
    emit(0xC5, 0xF8, 0x77);
  }

  /** target = 512 bits of memory. */
  public void vmovups(int target, Memory from) {
    vector(MOVUPS_LOAD, target, 0, from, 0, false);
  }

  /** target = those words of memory that the mask has, 0 for the others. */
  public void vmovups(int target, Memory from, int mask) {
    vector(MOVUPS_LOAD, target, 0, from, mask, true);
  }

  /** memory = 512 bits. */
  public void vmovups(Memory to, int source) {
    vector(MOVUPS_STORE, source, 0, to, 0, false);
  }

  /** Those words of memory that the mask has = source. */
  public void vmovups(Memory to, int source, int mask) {
    vector(MOVUPS_STORE, source, 0, to, mask, false);
  }

  /** target = a ^ b. */
  public void vpxord(int target, int a, int b) {
    vector(PXORD, target, a, b);
  }

  /** target = a | b. */
  public void vpord(int target, int a, int b) {
    vector(PORD, target, a, b);
  }

  /** Every word of target = that of source, shifted up by some bits. */
  public void vpslld(int target, int source, int bits) {
    // The first operand of this form is a part of the opcode.
    vector(PSLLD, 6, target, source);
    emit(bits);
  }

  /** Every word of target = that of memory, shifted up by some bits. */
  public void vpslld(int target, Memory from, int bits) {
    vector(PSLLD, 6, target, from, 0, false);
    emit(bits);
  }

  /** Every word of target = that of source, shifted down by some bits, zeros from above. */
  public void vpsrld(int target, int source, int bits) {
    // As vpslld: the same opcode with another number.
    vector(PSLLD, 2, target, source);
    emit(bits);
  }

  /** target = a &amp; b. */
  public void vpandd(int target, int a, int b) {
    vector(PAND, target, a, b);
  }

  /** target = a &amp; memory. */
  public void vpandd(int target, int a, Memory from) {
    vector(PAND, target, a, from, 0, false);
  }

  /**
   * Every bit of target = that bit of {@code table} whose number is the bits of target, a and b,
   * the first one the highest.
   */
  public void vpternlogd(int target, int a, int b, int table) {
    vector(PTERNLOGD, target, a, b);
    emit(table);
  }

  /** target = a + b, words as whole numbers. */
  public void vpaddd(int target, int a, int b) {
    vector(PADDD, target, a, b);
  }

  /** Every word of target = a half of a word in memory, of 16 that lie side by side. */
  public void vpmovzxwd(int target, Memory from) {
    vector(PMOVZXWD, target, 0, from, 0, false);
  }

  /** The same of those that the mask has; 0 for the others, whose memory is not touched. */
  public void vpmovzxwd(int target, Memory from, int mask) {
    vector(PMOVZXWD, target, 0, from, mask, true);
  }

  /** The lower half of target = the lower halves of source's words. */
  public void vpmovdw(int target, int source) {
    vector(PMOVDW, source, 0, target);
  }

  /** target = source. */
  public void vmovaps(int target, int source) {
    vector(MOVAPS, target, 0, source);
  }

  /** Those words of target that the mask has = source, 0 for the others. */
  public void vmovapsZeroing(int target, int source, int mask) {
    vector(MOVAPS, target, 0, source, mask, true);
  }

  /** target = a + b, F32. */
  public void vaddps(int target, int a, int b) {
    vector(ADDPS, target, a, b);
  }

  /** Those words of target that the mask has = a + b, F32. */
  public void vaddps(int target, int a, int b, int mask) {
    vector(ADDPS, target, a, b, mask, false);
  }

  /**
   * Those words of target that the mask has, all for mask 0, = the larger of a and b, F32; b where
   * one is not a number or both are zero.
   */
  public void vmaxps(int target, int a, int b, int mask) {
    vector(MAXPS, target, a, b, mask, false);
  }

  /** target = a - b, F32. */
  public void vsubps(int target, int a, int b) {
    vector(SUBPS, target, a, b);
  }

  /** target = a b, F32. */
  public void vmulps(int target, int a, int b) {
    vector(MULPS, target, a, b);
  }

  /** target = a / b, F32. */
  public void vdivps(int target, int a, int b) {
    vector(DIVPS, target, a, b);
  }

  /**
   * Every word of target, whose lowest five bits are a number, becomes the word with that number of
   * the 32 of {@code low} and {@code high}.
   */
  public void vpermi2ps(int target, int low, int high) {
    vector(PERMI2PS, target, low, high);
  }

  /** target = the square root of source, F32. */
  public void vsqrtps(int target, int source) {
    vector(SQRTPS, target, 0, source);
  }

  /** A mask register = for each word whether a and b compare as {@code predicate} says, F32. */
  public void vcmpps(int mask, int a, int b, int predicate) {
    vector(CMPPS, mask, a, b);
    emit(predicate);
  }

  /** target = b where the mask has a word, else a. */
  public void vblendmps(int target, int a, int b, int mask) {
    evex(BLENDMPS, target, a, mask, false, bit(b, 4), bit(b, 3));
    emit(0xC0 | (target & 7) << 3 | b & 7);
  }

  /** Every word of target = the word in memory. */
  public void vpbroadcastd(int target, Memory from) {
    vector(BROADCASTD, target, 0, from, 0, false);
  }

  /** target += a b, F32. */
  public void vfmadd231ps(int target, int a, int b) {
    vector(FMADD231PS, target, a, b);
  }

  /** Those words of target that the mask has += a b, F32. */
  public void vfmadd231ps(int target, int a, int b, int mask) {
    vector(FMADD231PS, target, a, b, mask, false);
  }

  /** target = a target + b, F32. */
  public void vfmadd213ps(int target, int a, int b) {
    vector(FMADD213PS, target, a, b);
  }

  /** target (F32) += a.low b.low + a.high b.high, pairs of bf16. */
  public void vdpbf16ps(int target, int a, int b) {
    vector(DPBF16PS, target, a, b);
  }

  /** In every four words: target = a0 b0 a1 b1. */
  public void vunpcklps(int target, int a, int b) {
    vector(UNPCKLPS, target, a, b);
  }

  /** In every four words: target = a2 b2 a3 b3. */
  public void vunpckhps(int target, int a, int b) {
    vector(UNPCKHPS, target, a, b);
  }

  /** In every two double words: target = a0 b0. */
  public void vunpcklpd(int target, int a, int b) {
    vector(UNPCKLPD, target, a, b);
  }

  /** In every two double words: target = a1 b1. */
  public void vunpckhpd(int target, int a, int b) {
    vector(UNPCKHPD, target, a, b);
  }

  /** target = two parts of four words of a, then two of b; two bits of {@code parts} name each. */
  public void vshuff32x4(int target, int a, int b, int parts) {
    vector(SHUFF32X4, target, a, b);
    emit(parts);
  }

  /** In every four words: target = those of source that two bits of {@code order} name each. */
  public void vpermilps(int target, int source, int order) {
    vector(PERMILPS, target, 0, source);
    emit(order);
  }

  /** The lower half of target = source, F32 rounded to bf16. */
  public void vcvtneps2bf16(int target, int source) {
    vector(CVTNEPS2BF16, target, 0, source);
  }

  /** Those of 16 halves of a word in memory that the mask has = the lower half of source. */
  public void vmovdqu16Half(Memory to, int source, int mask) {
    vector(MOVDQU16_STORE_YMM, source, 0, to, mask, false);
  }

  /** In the lower half of target those halves of a word that the mask has of source, else 0. */
  public void vmovdqu16HalfZeroing(int target, int source, int mask) {
    vector(MOVDQU16_STORE_YMM, source, 0, target, mask, true);
  }

  private void vector(Vector form, int register, int second, int other) {
    vector(form, register, second, other, 0, false);
  }

  private void vector(Vector form, int register, int second, int other, int mask, boolean zeroing) {
    evex(form, register, second, mask, zeroing, bit(other, 4), bit(other, 3));
    emit(0xC0 | (register & 7) << 3 | other & 7);
  }

  private void vector(
      Vector form, int register, int second, Memory memory, int mask, boolean zeroing) {
    int index = memory.index == NO_INDEX ? 0 : bit(memory.index, 3);
    evex(form, register, second, mask, zeroing, index, bit(memory.base, 3));
    address(register, memory, form.memoryBytes);
  }

  private void evex(
      Vector form, int register, int second, int mask, boolean zeroing, int x, int b) {
    emit(0x62);
    emit(
        (bit(register, 3) ^ 1) << 7
            | (x ^ 1) << 6
            | (b ^ 1) << 5
            | (bit(register, 4) ^ 1) << 4
            | form.map);
    emit((form.wide ? 0x80 : 0) | (~second & 15) << 3 | 4 | form.prefix);
    int length = form.bytes == ZMM_BYTES ? 2 : 1;
    emit((zeroing ? 0x80 : 0) | length << 5 | (bit(second, 4) ^ 1) << 3 | mask);
    emit(form.opcode);
  }

  /** The operand in memory; short displacements of vectors count {@code unit} bytes. */
  private void address(int register, Memory memory, int unit) {
    int displacement = memory.displacement;
    boolean none = displacement == 0 && (memory.base & 7) != RBP;
    int compressed = displacement / unit;
    boolean fits = displacement % unit == 0 && compressed == (byte) compressed;
    int mode = none ? 0 : fits ? 1 : 2;
    boolean scaled = memory.index != NO_INDEX || (memory.base & 7) == RSP;
    emit(mode << 6 | (register & 7) << 3 | (scaled ? RSP : memory.base & 7));
    if (scaled) {
      int index = memory.index == NO_INDEX ? RSP : memory.index & 7;
      emit(Integer.numberOfTrailingZeros(memory.scale) << 6 | index << 3 | memory.base & 7);
    }
    if (mode == 1) {
      emit(compressed);
    } else if (mode == 2) {
      emitInt(displacement);
    }
  }

  private static int bit(int number, int index) {
    return number >> index & 1;
  }

  // ---- bytes

  private void emit(int... bytes) {
    if (size + bytes.length > code.length) {
      code = Arrays.copyOf(code, 2 * code.length);
    }
    for (int value : bytes) {
      code[size++] = (byte) value;
    }
  }

  private void emitInt(int value) {
    emit(value, value >> 8, value >> 16, value >> 24);
  }

  private void setInt(int at, int value) {
    for (int i = 0; i < Integer.BYTES; i++) {
      code[at + i] = (byte) (value >> 8 * i);
    }
  }
}
