package dev.heddle.train.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonTest {

  @Test
  void write_thenParse_givesAnEqualValue() {
    Map<String, Object> value = new LinkedHashMap<>();
    value.put("text", "a \"quote\", a \\, a \n, a \u0001, an é and an \uD83D\uDE00");
    value.put("lone surrogate", "x\uD83D");
    value.put("whole", Long.MAX_VALUE);
    value.put("big", BigInteger.TWO.pow(80));
    value.put("decimal", 0.1 + 0.2);
    value.put("tiny", Double.MIN_VALUE);
    value.put("list", List.of(1L, -2.5, true, false, List.of(), Map.of()));
    value.put("nothing", null);
    assertThat(Json.parse(Json.write(value))).isEqualTo(value);
  }

  @Test
  void write_numbersThatAreNotFinite_becomeNullAndReadAsNan() {
    assertThat(Json.write(List.of(Double.NaN, Double.POSITIVE_INFINITY))).isEqualTo("[null,null]");
    assertThat(Json.number(null, "loss")).isNaN();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "`` | there is nothing in it",
        "{} {} | there is more after the value",
        "{\"a\":1,\"a\":2} | Duplicate",
        "{\"a\": | end-of-input",
        "[1,] | Unexpected",
        "nope | Unrecognized",
      })
  void parse_textThatIsNotJson_isRefused(String text, String reason) {
    assertThatThrownBy(() -> Json.parse(text))
        .isInstanceOf(JsonException.class)
        .hasMessageContaining(reason);
  }

  @Test
  void parse_deepNesting_isRefusedNotOverflowing() {
    assertThatThrownBy(() -> Json.parse("[".repeat(100_000))).isInstanceOf(JsonException.class);
  }

  @Test
  void typedReaders_ofAnotherKind_sayWhatWasFound() {
    assertThatThrownBy(() -> Json.whole("x", "step"))
        .hasMessage("step is the text 'x', not a whole number");
    assertThatThrownBy(() -> Json.text(null, "label")).hasMessage("label is missing, not a text");
    assertThatThrownBy(() -> Json.list(Map.of(), "tags"))
        .hasMessage("tags is an object, not a list");
    assertThatThrownBy(() -> Json.object(3L, "line 2")).hasMessage("line 2 is 3, not an object");
    assertThatThrownBy(() -> Json.whole(2.5, "x")).hasMessage("x is 2.5, not a whole number");
  }
}
