package dev.heddle.runtime.machine;

import static dev.heddle.runtime.machine.Assembler.R10;
import static dev.heddle.runtime.machine.Assembler.R12;
import static dev.heddle.runtime.machine.Assembler.R13;
import static dev.heddle.runtime.machine.Assembler.R14;
import static dev.heddle.runtime.machine.Assembler.R15;
import static dev.heddle.runtime.machine.Assembler.R8;
import static dev.heddle.runtime.machine.Assembler.R9;
import static dev.heddle.runtime.machine.Assembler.RAX;
import static dev.heddle.runtime.machine.Assembler.RBP;
import static dev.heddle.runtime.machine.Assembler.RBX;
import static dev.heddle.runtime.machine.Assembler.RCX;
import static dev.heddle.runtime.machine.Assembler.RDI;
import static dev.heddle.runtime.machine.Assembler.RDX;
import static dev.heddle.runtime.machine.Assembler.RSI;
import static dev.heddle.runtime.machine.Assembler.RSP;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.machine.Assembler.Label;
import dev.heddle.runtime.machine.Assembler.Memory;
import java.util.HexFormat;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Instructions against the bytes that GNU as 2.40 writes for the same text. */
class AssemblerTest {
  private static void same(String bytes, Consumer<Assembler> instruction) {
    Assembler assembler = new Assembler();
    instruction.accept(assembler);
    assertThat(HexFormat.ofDelimiter(" ").formatHex(assembler.toBytes())).isEqualTo(bytes);
  }

  @Test
  void generalRegisters() {
    same("48 89 f8", a -> a.mov(RAX, RDI));
    same("4c 8b 64 24 38", a -> a.mov(R12, Memory.at(RSP, 56)));
    same("4d 8b 45 00", a -> a.mov(R8, Memory.at(R13, 0)));
    same("49 89 50 18", a -> a.mov(Memory.at(R8, 24), RDX));
    same("4c 8d 14 76", a -> a.lea(R10, Memory.indexed(RSI, RSI, 2)));
    same("49 8d 1c b2", a -> a.lea(RBX, Memory.indexed(R10, RSI, 4)));
    same("48 03 bc 24 00 10 00 00", a -> a.add(RDI, Memory.at(RSP, 0x1000)));
    same("4d 01 f5", a -> a.add(R13, R14));
    same("48 81 c5 c0 00 00 00", a -> a.addConstant(RBP, 192));
    same("48 31 c9", a -> a.clear(RCX));
    same("49 ff cf", a -> a.dec(R15));
    same("4d 85 e4", a -> a.test(R12));
    same("41 54", a -> a.push(R12));
    same("5d", a -> a.pop(RBP));
    same("41 0f 0d 4e 40", a -> a.prefetchw(Memory.at(R14, 64)));
    same("0f 18 88 80 00 00 00", a -> a.prefetcht0(Memory.at(RAX, 128)));
    same("41 0f 18 4d 04", a -> a.prefetcht0(Memory.at(R13, 4)));
    same("0f a2", Assembler::cpuid);
    same("0f 01 d0", Assembler::xgetbv);
    same("c3", Assembler::ret);
  }

  @Test
  void vectorsAndMasks() {
    same("c5 f8 77", Assembler::vzeroupper);
    same("c4 c1 78 92 d9", a -> a.kmovw(3, R9));
    same("62 61 7c 48 10 7d 02", a -> a.vmovups(31, Memory.at(RBP, 128)));
    same("62 51 7c c9 10 4e 01", a -> a.vmovups(9, Memory.at(R14, 64), 1));
    same("62 c1 7c 48 11 8e 41 00 00 00", a -> a.vmovups(Memory.at(R14, 65), 17));
    same("62 51 7c 49 11 46 02", a -> a.vmovups(Memory.at(R14, 128), 8, 1));
    same("62 f2 7d 48 58 3c 18", a -> a.vpbroadcastd(7, Memory.indexed(RAX, RBX, 1)));
    same("62 b2 7d 48 58 1c 50", a -> a.vpbroadcastd(3, Memory.indexed(RAX, R10, 2)));
    same("62 e2 7d 48 58 67 02", a -> a.vpbroadcastd(20, Memory.at(RDI, 8)));
    same("62 62 5d 48 b8 f2", a -> a.vfmadd231ps(30, 4, 2));
    same("62 12 65 40 b8 c1", a -> a.vfmadd231ps(8, 19, 25));
    same("62 72 46 48 52 f9", a -> a.vdpbf16ps(15, 7, 1));
    same("62 92 7e 48 72 c5", a -> a.vcvtneps2bf16(0, 29));
    same("62 d1 ff 29 7f 46 01", a -> a.vmovdqu16Half(Memory.at(R14, 32), 0, 1));
    same("62 c1 ff 28 7f 14 24", a -> a.vmovdqu16Half(Memory.at(R12, 0), 18, 0));
    same("62 f2 7d 48 33 4f 03", a -> a.vpmovzxwd(1, Memory.at(RDI, 96)));
    same("62 c2 7d 48 33 4c 34 01", a -> a.vpmovzxwd(17, new Memory(R12, RSI, 1, 32)));
    same("62 f1 75 48 72 f1 10", a -> a.vpslld(1, 1, 16));
    same("62 b1 6d 40 72 f1 10", a -> a.vpslld(18, 17, 16));
    same("62 b1 7d 48 eb c1", a -> a.vpord(0, 0, 17));
    same("62 b1 7c 48 11 5c 51 01", a -> a.vmovups(new Memory(RCX, R10, 2, 64), 3));
    same("62 e1 7c 48 14 c1", a -> a.vunpcklps(16, 0, 1));
    same("62 e1 7c 48 15 c9", a -> a.vunpckhps(17, 0, 1));
    same("62 b1 fd 40 14 d2", a -> a.vunpcklpd(2, 16, 18));
    same("62 b1 fd 40 15 da", a -> a.vunpckhpd(3, 16, 18));
    same("62 e3 7d 48 23 c4 44", a -> a.vshuff32x4(16, 0, 4, 0x44));
  }

  @Test
  void arithmeticOfWords() {
    same("62 b1 75 48 72 d1 10", a -> a.vpsrld(1, 17, 16));
    same("62 f1 6d 40 72 d2 17", a -> a.vpsrld(18, 2, 23));
    same("62 b1 35 48 db c1", a -> a.vpandd(0, 9, 17));
    same("62 81 75 48 fe e6", a -> a.vpaddd(20, 1, 30));
    same("62 e2 7d c9 33 4f 01", a -> a.vpmovzxwd(17, Memory.at(RDI, 32), 1));
    same("62 b1 7c 48 28 ee", a -> a.vmovaps(5, 22));
    same("62 21 3c 48 58 f8", a -> a.vaddps(31, 8, 16));
    same("62 f1 3c 40 5c df", a -> a.vsubps(3, 24, 7));
    same("62 11 6c 48 59 e5", a -> a.vmulps(12, 2, 29));
    same("62 51 2c 48 5e cb", a -> a.vdivps(9, 10, 11));
    same("62 41 7c 48 51 d5", a -> a.vsqrtps(26, 13));
    same("62 b1 5c 48 c2 d5 1e", a -> a.vcmpps(2, 4, 21, 30));
    same("62 f1 3c 40 c2 d9 03", a -> a.vcmpps(3, 24, 1, 3));
    same("62 92 45 4a 65 f4", a -> a.vblendmps(6, 7, 28, 2));
    same("62 e2 25 43 65 c0", a -> a.vblendmps(16, 27, 0, 3));
    same("62 92 6d 40 a8 d9", a -> a.vfmadd213ps(3, 18, 25));
    same("62 f1 75 40 72 76 01 10", a -> a.vpslld(17, Memory.at(RSI, 64), 16));
    same("62 d1 65 48 72 34 24 10", a -> a.vpslld(3, Memory.at(R12, 0), 16));
    same("62 e1 35 48 db 47 01", a -> a.vpandd(16, 9, Memory.at(RDI, 64)));
    same("62 23 75 48 25 f2 f8", a -> a.vpternlogd(30, 1, 18, 0xf8));
    same("62 11 6c 48 5f e5", a -> a.vmaxps(12, 2, 29, 0));
    same("62 92 6d 40 77 d9", a -> a.vpermi2ps(3, 18, 25));
    same("62 62 3d 48 77 ff", a -> a.vpermi2ps(31, 8, 7));
    same("62 31 7c c9 28 c9", a -> a.vmovapsZeroing(9, 17, 1));
    same("62 e1 5c 41 58 e3", a -> a.vaddps(20, 20, 3, 1));
    same("62 a1 34 49 5f e4", a -> a.vmaxps(20, 9, 20, 1));
    same("62 f1 74 48 5f da", a -> a.vmaxps(3, 1, 2, 0));
    same("62 62 0d 49 b8 fd", a -> a.vfmadd231ps(31, 14, 5, 1));
    same("62 b3 7d 48 04 fa 4e", a -> a.vpermilps(7, 18, 0x4E));
    same("62 e2 7e 48 33 d7", a -> a.vpmovdw(7, 18));
    same("62 e1 ff a9 7f d7", a -> a.vmovdqu16HalfZeroing(7, 18, 1));
  }

  @Test
  void jumps_goBackToALabel() {
    Assembler assembler = new Assembler();
    assembler.align(8);
    Label start = assembler.here();
    assembler.dec(RAX);
    assembler.jnz(start);
    // -9: the jump's own six bytes and the three before it.
    assertThat(HexFormat.of().formatHex(assembler.toBytes())).isEqualTo("48ffc8" + "0f85f7ffffff");
  }

  @Test
  void jumps_goForwardToALabel() {
    Assembler assembler = new Assembler();
    Label end = assembler.newLabel();
    assembler.jz(end);
    assembler.dec(RAX);
    assembler.bind(end);
    assertThat(HexFormat.of().formatHex(assembler.toBytes())).isEqualTo("0f8403000000" + "48ffc8");
  }

  @Test
  void whatCannotBeEncoded_isRefused() {
    assertThatThrownBy(() -> Memory.indexed(RAX, RSP, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Assembler: RSP cannot be an index");
    assertThatThrownBy(() -> Memory.indexed(RAX, RBX, 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Assembler: scale 3, not 1, 2, 4 or 8");
  }

  @Test
  void jump_goesForwardAndBack() {
    Assembler assembler = new Assembler();
    Label start = assembler.here();
    Label end = assembler.newLabel();
    assembler.jmp(end);
    assembler.jmp(start);
    assembler.bind(end);
    assembler.ret();
    assertThat(HexFormat.ofDelimiter(" ").formatHex(assembler.toBytes()))
        .isEqualTo("e9 05 00 00 00 e9 f6 ff ff ff c3");
  }
}
