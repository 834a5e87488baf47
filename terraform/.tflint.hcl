# tflint --recursive --config "$PWD/.tflint.hcl"
plugin "terraform" {
  enabled = true
  preset  = "all"
}

rule "terraform_naming_convention" {
  enabled = true

  # Scripts for the CDK stack know these outputs by their names.
  output {
    custom = "^([a-z][a-z0-9_]*|[A-Z][A-Za-z]*)$"
  }
}
