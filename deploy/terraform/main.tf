# The role that `curfew serve` runs with, and nothing else. What it may do stands in ../iam-policy.json alone.

resource "aws_iam_role" "curfew" {
  name                 = var.role_name
  description          = "Curfew: gives and takes away assignments in IAM Identity Center"
  assume_role_policy   = var.trust_policy
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "curfew" {
  name = "curfew"
  role = aws_iam_role.curfew.name

  policy = templatefile("${path.module}/../iam-policy.json", {
    identity_store_id     = var.identity_store_id
    instance_id           = var.instance_id
    management_account_id = var.management_account_id
  })
}

resource "aws_iam_role_policy" "identity_center_key" {
  count = var.identity_center_kms_key_arn == null ? 0 : 1

  name = "identity-center-key"
  role = aws_iam_role.curfew.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadWhatIdentityCenterEncrypted"
      Effect   = "Allow"
      Action   = "kms:Decrypt"
      Resource = var.identity_center_kms_key_arn
    }]
  })
}
