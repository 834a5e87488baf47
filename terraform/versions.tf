terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

# Without a region in the configuration: AWS_REGION, or the region of the profile.
provider "aws" {
  region = module.config.settings.region

  default_tags {
    tags = module.config.tags
  }
}
