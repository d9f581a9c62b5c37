variable "instance_id" {
  description = "Identity Center's instance: the part of its ARN behind arn:aws:sso:::instance/."
  type        = string

  validation {
    condition     = can(regex("^ssoins-[0-9a-zA-Z.-]{16}$", var.instance_id))
    error_message = "This must look like ssoins-0123456789abcdef: the end of the instance's ARN, not all of it."
  }
}

variable "identity_store_id" {
  description = "Identity Center's identity store."
  type        = string

  validation {
    condition     = can(regex("^(d-[0-9a-f]{10}|[0-9a-f-]{36})$", var.identity_store_id))
    error_message = "This must look like d-0123456789."
  }
}

variable "management_account_id" {
  description = "The organization's management account. The role can assign nothing there."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.management_account_id))
    error_message = "An account id has twelve digits."
  }
}

variable "trust_policy" {
  description = "Who may take the role, as a JSON trust policy: the service or the workload that Curfew runs on. README.md has examples."
  type        = string

  validation {
    condition     = can(jsondecode(var.trust_policy).Statement) && !can(regex("\"(AWS|Federated|Service|Principal)\"\\s*:\\s*(\\[[^]]*)?\"\\*\"", var.trust_policy))
    error_message = "This must be a JSON policy with a Statement, and no principal in it may be \"*\"."
  }
}

variable "permissions_boundary_arn" {
  description = "A permissions boundary for the role, where your organization demands one. It must allow what iam-policy.json allows."
  type        = string
  default     = null
}

variable "identity_center_kms_key_arn" {
  description = "The customer managed key that encrypts Identity Center's data, if there is one. Its key policy must let the role decrypt as well."
  type        = string
  default     = null
}

variable "role_name" {
  description = "The role's name."
  type        = string
  default     = "curfew"
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}
