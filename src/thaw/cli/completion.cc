// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/completion.h"

namespace thaw {
namespace {

// The line is split at blanks, not by COMP_WORDS, which bash also cuts at ':' and '=', as in
// dir:/var/lib/thaw. What is offered has to begin behind such a cut again.
constexpr char kHead[] =
    R"bash(# bash completion for thaw. To use it: source <(thaw completion bash)

_thaw_snapshots() {
  thaw ls --quiet "${globals[@]}" -- "$1" 2>/dev/null
}

# Arguments: kind, current word, choices.
_thaw_offer() {
  case "$1" in
    file) compgen -f -- "$2" ;;
    directory) compgen -d -- "$2" ;;
    pair) [[ "$2" == *=* ]] && compgen -P "${2%%=*}=" -f -- "${2#*=}" ;;
    snapshot) compgen -W "$(_thaw_snapshots "$2")" -- "$2" ;;
    words) compgen -W "$3" -- "$2" ;;
  esac
}

_thaw() {
  local line="${COMP_LINE:0:COMP_POINT}" current="" command="" previous="" word i
  local subcommands options valued kind choices offers cut=""
  local -a words=() globals=()
  read -ra words <<< "$line"
  if [[ "$line" != *[[:space:]] ]]; then
    current="${words[-1]}"
    unset 'words[-1]'
  fi
  _thaw_command ""
  for ((i = 1; i < ${#words[@]}; ++i)); do
    word="${words[i]}"
    case "$previous" in
      --store | --tenant | --keyring | --config) globals+=("$previous" "$word") ;;
    esac
    if [[ -n "$previous" && " $valued " == *" $previous "* ]]; then
      previous=""
      continue
    fi
    previous="$word"
    if [[ " $subcommands " == *" $word "* ]]; then
      command="${command:+$command }$word"
      _thaw_command "$command"
    fi
  done

  if [[ -n "$previous" && " $valued " == *" $previous "* ]]; then
    _thaw_value "$command" "$previous"
    offers="$(_thaw_offer "$kind" "$current" "$choices")"
  elif [[ "$current" == -* ]]; then
    offers="$(_thaw_offer words "$current" "$options")"
  elif [[ -n "$subcommands" ]]; then
    offers="$(_thaw_offer words "$current" "$subcommands")"
  else
    offers="$(_thaw_offer "$kind" "$current" "$choices")"
  fi

  [[ "$current" == *[:=]* ]] && cut="${current%"${current##*[:=]}"}"
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n "$word" ]] && COMPREPLY+=("${word#"$cut"}")
  done <<< "$offers"
}

)bash";

constexpr char kTail[] = R"bash(
complete -o filenames -F _thaw thaw
)bash";

/// Single quotes hold everything but themselves.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string kind_and_choices(ValueKind kind, const std::vector<std::string>& choices) {
  const char* name = [&] {
    if (!choices.empty()) return "words";
    switch (kind) {
      case ValueKind::kFile:
        return "file";
      case ValueKind::kDirectory:
        return "directory";
      case ValueKind::kPairWithFile:
        return "pair";
      case ValueKind::kSnapshot:
        return "snapshot";
      case ValueKind::kAnything:
        break;
    }
    return "none";
  }();
  return std::string("kind=") + name + " choices=" + quoted(join(choices));
}

/// _thaw_command: what may follow a command; sets subcommands, options, valued, kind, choices.
std::string command_function(const std::vector<CompletionCommand>& commands) {
  std::string out = "_thaw_command() {\n  case \"$1\" in\n";
  for (const CompletionCommand& command : commands) {
    std::vector<std::string> options;
    std::vector<std::string> valued;
    for (const CompletionOption& option : command.options) {
      options.insert(options.end(), option.names.begin(), option.names.end());
      if (option.takes_value) valued.insert(valued.end(), option.names.begin(), option.names.end());
    }
    out += "    " + quoted(command.path) + ")\n";
    out += "      subcommands=" + quoted(join(command.subcommands)) + "\n";
    out += "      options=" + quoted(join(options)) + "\n";
    out += "      valued=" + quoted(join(valued)) + "\n";
    out += "      " + kind_and_choices(command.positional, command.positional_choices) + " ;;\n";
  }
  return out + "  esac\n}\n";
}

/// _thaw_value: what an option takes; sets kind, choices.
std::string value_function(const std::vector<CompletionCommand>& commands) {
  std::string out = "_thaw_value() {\n  kind=none choices=''\n  case \"$1/$2\" in\n";
  for (const CompletionCommand& command : commands) {
    for (const CompletionOption& option : command.options) {
      if (!option.takes_value) continue;
      for (const std::string& name : option.names) {
        out += "    " + quoted(command.path + "/" + name) + ") " +
               kind_and_choices(option.kind, option.choices) + " ;;\n";
      }
    }
  }
  return out + "  esac\n}\n";
}

}  // namespace

std::string bash_completion(const std::vector<CompletionCommand>& commands) {
  return kHead + command_function(commands) + "\n" + value_function(commands) + kTail;
}

}  // namespace thaw
