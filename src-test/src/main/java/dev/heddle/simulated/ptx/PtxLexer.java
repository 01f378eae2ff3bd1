package dev.heddle.simulated.ptx;

import java.util.ArrayList;
import java.util.List;

/** Cuts PTX text into words, numbers, strings and signs, each with its line. Comments are gone. */
final class PtxLexer {
  /** What a token is. */
  enum Kind {
    WORD,
    NUMBER,
    STRING,
    SIGN,
    /** What nvcc says in a comment when it means "this register holds whatever it may". */
    IMPLICIT_DEFINITION,
    END
  }

  record Token(Kind kind, String text, int line) {
    boolean is(String sign) {
      return text.equals(sign) && kind != Kind.STRING;
    }
  }

  private static final String IMPLICIT = "implicit-def:";

  private final String module;
  private final String text;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;

  private PtxLexer(String module, String text) {
    this.module = module;
    this.text = text;
  }

  static List<Token> tokens(String module, String text) {
    PtxLexer lexer = new PtxLexer(module, text);
    lexer.run();
    return lexer.tokens;
  }

  private char at(int index) {
    return index < text.length() ? text.charAt(index) : '\0';
  }

  private void run() {
    while (position < text.length()) {
      char c = text.charAt(position);
      if (c == '\n') {
        line++;
        position++;
      } else if (Character.isWhitespace(c) || c == '\0') {
        position++;
      } else if (c == '/' && at(position + 1) == '/') {
        lineComment();
      } else if (c == '/' && at(position + 1) == '*') {
        blockComment();
      } else if (c == '"') {
        string();
      } else if (Character.isDigit(c)) {
        number();
      } else if (isWordStart(c)) {
        word();
      } else {
        add(Kind.SIGN, position, position + 1);
      }
    }
    tokens.add(new Token(Kind.END, "end of the text", line));
  }

  private void add(Kind kind, int from, int to) {
    tokens.add(new Token(kind, text.substring(from, to), line));
    position = to;
  }

  private void lineComment() {
    int end = text.indexOf('\n', position);
    end = end < 0 ? text.length() : end;
    String comment = text.substring(position + 2, end).strip();
    if (comment.startsWith(IMPLICIT)) {
      String register = comment.substring(IMPLICIT.length()).strip();
      tokens.add(new Token(Kind.IMPLICIT_DEFINITION, register, line));
    }
    position = end;
  }

  private void blockComment() {
    int end = text.indexOf("*/", position + 2);
    if (end < 0) {
      throw new PtxException(module, line, "/*", "this comment has no end");
    }
    line += (int) text.substring(position, end).chars().filter(c -> c == '\n').count();
    position = end + 2;
  }

  private void string() {
    int end = text.indexOf('"', position + 1);
    if (end < 0) {
      throw new PtxException(module, line, "\"", "this string has no end");
    }
    add(Kind.STRING, position, end + 1);
  }

  private void number() {
    int end = position;
    while (Character.isLetterOrDigit(at(end))
        || (at(end) == '.' && Character.isDigit(at(end + 1)))) {
      end++;
    }
    add(Kind.NUMBER, position, end);
  }

  private static boolean isWordStart(char c) {
    return Character.isLetter(c) || c == '_' || c == '$' || c == '%' || c == '.';
  }

  private void word() {
    int end = position + 1;
    while (true) {
      char c = at(end);
      if (Character.isLetterOrDigit(c) || c == '_' || c == '$' || (c == '.' && isPart(end + 1))) {
        end++;
      } else if (c == ':' && at(end + 1) == ':' && isPart(end + 2)) {
        end += 2;
      } else {
        break;
      }
    }
    add(Kind.WORD, position, end);
  }

  private boolean isPart(int index) {
    char c = at(index);
    return Character.isLetterOrDigit(c) || c == '_';
  }
}
