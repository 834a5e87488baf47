# tflint --recursive --config "$PWD/.tflint.hcl"
plugin "terraform" {
  enabled = true
  preset  = "all"
}

rule "terraform_naming_convention" {
  enabled = true

  # The outputs that scripts of the CDK stack know have its names.
  output {
    custom = "^([a-z][a-z0-9_]*|[A-Z][A-Za-z]*)$"
  }
}
