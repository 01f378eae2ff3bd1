package dev.heddle.train.config;

import java.util.List;

/**
 * A value given on the command line, which wins over the file.
 *
 * @param words the option as the user wrote it; refusals begin with it
 * @param key the dotted key, such as {@code parallel.language.tp}
 * @param value the value as YAML: {@code 2}, {@code bf16}, {@code [0, 2]}, <code>{tp: 2}</code>
 */
public record ConfigOverride(String words, String key, String value) {

  /**
   * Reads the argument of {@code --set}.
   *
   * @param argument {@code a.b.c=VALUE}
   * @throws ConfigException when there is no key or no {@code =}
   */
  public static ConfigOverride set(String argument) {
    String words = "--set " + argument;
    int equals = argument.indexOf('=');
    String key = equals < 0 ? argument : argument.substring(0, equals).strip();
    if (equals < 0 || !key.matches("[^.\\s]+(\\.[^.\\s]+)*")) {
      throw new ConfigException(
          List.of(
              new ConfigProblem(
                  words,
                  equals < 0 ? "no '=' after the key" : "'" + key + "' is not a key",
                  "--set a.b.c=VALUE, such as --set parallel.language.tp=2")));
    }
    return new ConfigOverride(words, key, argument.substring(equals + 1));
  }

  /**
   * An option with a key of its own, such as {@code --seed 3} for {@code seed}.
   *
   * @param option the option's name with its dashes
   * @param key the key that it sets
   * @param value its value
   */
  public static ConfigOverride option(String option, String key, String value) {
    return new ConfigOverride(option + " " + value, key, value);
  }
}
